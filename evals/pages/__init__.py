"""The pages of docs/results/ and README's table and picture, from their JSON."""
