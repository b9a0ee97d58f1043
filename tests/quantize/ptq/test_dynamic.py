import numpy as np
import onnxruntime as ort

from compress.quantize.ptq.dynamic import quantize_dynamically


def test_weights_are_integers_and_answers_stay_close(float_model, images_NCHW):
    made = quantize_dynamically(float_model)
    assert "ConvInteger" in {node.op_type for node in made.graph.node}

    def answers(model):
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {"images": images_NCHW})[0]

    expected_NK = answers(float_model)
    assert np.abs(answers(made) - expected_NK).max() < 0.15 * np.abs(expected_NK).max()
