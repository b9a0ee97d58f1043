import json

from compress.pipeline.environment import environment


def test_the_environment_is_json_and_names_versions_and_device():
    facts = environment("cpu")
    assert json.loads(json.dumps(facts)) == facts
    assert facts["device"] == "cpu"
    assert {"cpu", "cores", "python", "versions"} <= set(facts)
