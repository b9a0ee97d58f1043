from compress.recipe.ids import free_id, with_default_ids


def test_default_ids_count_by_kind_and_leave_given_ones():
    named = [("train", ""), ("prune", ""), ("prune", ""), ("prune", "prune-2"), ("distill", "d")]
    assert with_default_ids(named) == ["train", "prune", "prune-3", "prune-2", "d"]


def test_the_stem_of_an_expanded_export_is_taken():
    assert free_id("export", {"export-onnx", "export-tflite"}) == "export-2"
    assert free_id("export", set()) == "export"
