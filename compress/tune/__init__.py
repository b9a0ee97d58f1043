"""From a goal to a model: a search over recipes, judged on the validation images, reported on the test images."""
