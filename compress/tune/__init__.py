"""From a goal to a model: a search over recipes, judged on the validation pictures, reported on the test pictures."""
