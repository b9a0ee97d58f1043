"""The pages of docs/results/ and README's table and chart, from their JSON."""
