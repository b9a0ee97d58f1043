"""The stage: each source, format and precision; what it refuses; what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from compress.core.artifact import Artifact
from compress.core.dataset import FolderData
from compress.core.digest import sha256_file
from compress.core.formats import Format, Precision, format_of
from compress.core.preprocess import Preprocess
from compress.core.spec import CALIBRATION_KEY, ModelSpec
from compress.core.stage import RunContext, SilentReporter
from compress.errors import CheckError, ModelFileError, UsageError
from compress.export.config import ExportConfig, ParityBounds
from compress.export.stage import run
from compress.graph.metadata import embed_spec, spec_of
from compress.runtime.open import open_predictor
from compress.runtime.tflite_meta import read_spec, unpack

PREPROCESS = Preprocess(resize_px=36, crop_px=32)
LABELS = ("blue", "green", "red")
SPEC = ModelSpec(arch="foreign", labels=LABELS, input_chw=(3, 32, 32), preprocess=PREPROCESS)


@pytest.fixture
def ctx(tmp_path, photos):
    folder = tmp_path / "stage"
    folder.mkdir()
    return RunContext(stage_dir=folder, seed=0, data=FolderData(path=photos))


def _artifact(path: Path, spec: ModelSpec | None) -> Artifact:
    return Artifact(
        stage_id="above", kind="train", format=format_of(path), path=path, sha256=sha256_file(path),
        size_bytes=path.stat().st_size, spec=spec, metrics={},
    )  # fmt: skip


@pytest.fixture(scope="module")
def torch_model(tmp_path_factory) -> Artifact:
    import torch

    from compress.models.build import build_model, new_spec
    from compress.models.weights import save_model

    spec = new_spec("tiny", LABELS, 32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(spec)
    path = tmp_path_factory.mktemp("torch") / "model.safetensors"
    return _artifact(path, save_model(path, model.eval(), spec))


@pytest.fixture
def onnx_model(build, tmp_path):
    def make(*, quantized: bool, spec: ModelSpec | None = SPEC) -> Artifact:
        b = build((1, 3, 32, 32), quantized=quantized)
        made = b.q(b.conv(b.q("images"), 8, in_channels=3, strides=[2, 2], pads=[1, 1, 1, 1]))
        made = b.q(b.node("GlobalAveragePool", [b.q(b.node("HardSwish", [made]))]), -0.4, 1)
        flat = b.q(b.node("Flatten", [made]), -0.4, 1)
        weight, scale = b.weight((3, 8), size=2.0)
        model = b.model(b.q(b.node("Gemm", [flat, weight, b.bias(3, scale, (-0.4, 1))], transB=1)))
        if spec is not None:
            found = spec.model_copy(update={"precision": Precision.INT8 if quantized else Precision.FP32})
            embed_spec(model, found)
        path = tmp_path / ("int8.onnx" if quantized else "float.onnx")
        onnx.save(model, path)
        return _artifact(path, spec)

    return make


def _export(artifact: Artifact, ctx: RunContext, **options):
    return run(ExportConfig(**options), {"from": artifact}, ctx)


@pytest.mark.parametrize(("fmt", "precision"), [("onnx", "fp16"), ("tflite", "fp32")])
def test_torch_model(torch_model, ctx, fmt, precision):
    output = _export(torch_model, ctx, format=fmt, precision=precision)
    path = ctx.stage_dir / output.file_name
    assert output.format == fmt
    assert output.spec.precision == precision
    assert output.spec.layout == ("NHWC" if fmt == "tflite" else "NCHW")
    assert output.metrics["parity_on"] == "images"
    assert output.metrics["parity_images"] == 21, "validation and test"
    assert open_predictor(path).spec == output.spec
    assert output.spec.preprocess == torch_model.spec.preprocess
    if precision == "fp16":
        assert path.stat().st_size < 0.6 * torch_model.size_bytes


def test_int8_onnx_becomes_int8_tflite(onnx_model, ctx):
    output = _export(onnx_model(quantized=True), ctx, format="tflite", precision="int8")
    assert output.metrics["precision"] == "int8"
    assert output.metrics["lossless_integers"] > 200
    assert output.metrics["float_op_names"].startswith("HARD_SWISH")
    assert output.metrics["delegate_partitions"] == 1
    assert output.metrics["parity_max_lsb"] == pytest.approx(
        output.metrics["parity_max_abs_logit_diff"] / float(np.float32(8 / 255))
    )
    assert read_spec((ctx.stage_dir / "model.tflite").read_bytes()) == output.spec


def test_the_tflite_file_says_what_the_ranges_were_found_on(onnx_model, ctx):
    source = onnx_model(quantized=True)
    model = onnx.load(source.path)
    model.metadata_props.add(key=CALIBRATION_KEY, value='{"count": 8}')
    onnx.save(model, source.path)
    _export(source, ctx, format="tflite")
    found = unpack((ctx.stage_dir / "model.tflite").read_bytes())
    texts = {entry.name.decode(): bytes(found.buffers[entry.buffer].data).decode() for entry in found.metadata}
    assert texts[CALIBRATION_KEY] == '{"count": 8}'


def test_int8_onnx_stays_int8_onnx(onnx_model, ctx):
    output = _export(onnx_model(quantized=True), ctx, format="onnx")
    assert output.spec.precision == Precision.INT8
    assert output.metrics["parity_max_abs_logit_diff"] == 0
    assert output.metrics["parity_max_lsb"] == 0
    assert "delegate_partitions" not in output.metrics
    assert spec_of(onnx.load(ctx.stage_dir / "model.onnx"), Path()) == output.spec


@pytest.mark.parametrize(("opset", "fixed"), [(17, False), (None, True), (21, True)])
def test_opset_and_batch(onnx_model, ctx, opset, fixed):
    output = _export(onnx_model(quantized=False), ctx, format="onnx", opset=opset, dynamic_batch=not fixed)
    model = onnx.load(ctx.stage_dir / "model.onnx")
    assert output.metrics["opset"] == (opset or 18)
    assert (model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1) == fixed


def test_partitions_are_counted(build, ctx, tmp_path):
    """XNNPACK takes no int8 RELU of its own: the graph falls into two pieces."""
    b = build((1, 3, 32, 32), quantized=True)
    made = b.q(b.node("Relu", [b.q(b.conv(b.q("images"), 8, in_channels=3))]))
    made = b.q(b.node("GlobalAveragePool", [b.q(b.conv(made, 4, in_channels=8))]))
    path = tmp_path / "split.onnx"
    onnx.save(b.model(b.q(b.node("Flatten", [made]))), path)
    metrics = _export(_artifact(path, None), ctx, format="tflite").metrics
    assert metrics["delegate_partitions"] == 2


def test_notes_of_the_lowering_are_warnings(build, tmp_path, photos):
    said = []

    class Recorder(SilentReporter):
        def warn(self, message):
            said.append(message)

    folder = tmp_path / "stage"
    folder.mkdir()
    b = build((1, 4, 32, 32), quantized=True)
    made = b.q(b.conv(b.q("images"), 4, groups=4, per_channel=False))
    path = tmp_path / "per_tensor.onnx"
    onnx.save(b.model(b.q(b.node("Flatten", [b.q(b.node("GlobalAveragePool", [made]))]))), path)
    ctx = RunContext(stage_dir=folder, seed=0, data=None, reporter=Recorder())
    _export(_artifact(path, None), ctx, format="tflite")
    assert any("one scale for 4 channels" in message for message in said)


def test_torch_model_with_nan_is_refused(torch_model, ctx, tmp_path):
    import torch

    from compress.models.weights import load_model, save_model

    model, spec = load_model(torch_model.path)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = float("nan")
    path = tmp_path / "diverged.safetensors"
    saved = save_model(path, model, spec)
    with pytest.raises(ModelFileError, match=r"diverged\.safetensors: tensor '.*weight' holds \d+ NaN"):
        _export(_artifact(path, saved), ctx, format="tflite")
    assert list(ctx.stage_dir.iterdir()) == []


def test_int8_of_a_float_model_asks_for_a_quantize_stage(onnx_model, torch_model, ctx):
    for artifact in (torch_model, onnx_model(quantized=False)):
        with pytest.raises(UsageError, match="int8 asked of 'above'") as caught:
            _export(artifact, ctx, format="tflite", precision="int8")
        assert "kind: quantize" in caught.value.hint


def test_floats_of_an_int8_model_are_refused(onnx_model, ctx):
    with pytest.raises(UsageError, match="fp32 asked"):
        _export(onnx_model(quantized=True), ctx, format="onnx", precision="fp32")


@pytest.mark.parametrize("quantized", [False, True])
def test_file_of_another_tool(onnx_model, ctx, quantized):
    artifact = onnx_model(quantized=quantized, spec=None)
    output = _export(artifact, ctx, format="tflite")
    assert output.spec is None
    assert output.metrics["parity_on"] == "noise"
    assert output.metrics["precision"] == ("int8" if quantized else "fp32")
    known = _export(artifact, ctx, format="tflite", preprocess=PREPROCESS)
    assert known.spec.labels == ("0", "1", "2")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tensorflow's own
@pytest.mark.usefixtures("torch_first")
def test_tensorflow_converter(onnx_model, ctx):
    output = _export(onnx_model(quantized=False), ctx, format="tflite", converter="tensorflow", precision="fp16")
    assert output.spec.precision == Precision.FP16
    with pytest.raises(ModelFileError, match="drops quantization"):
        _export(onnx_model(quantized=True), ctx, format="tflite", converter="tensorflow")


def test_broken_parity_fails_the_stage(onnx_model, ctx):
    with pytest.raises(CheckError, match="logits"):
        _export(onnx_model(quantized=False), ctx, format="tflite", parity=ParityBounds(max_abs_logit_diff=0.0))


def test_equal_inputs_give_equal_files(onnx_model, ctx):
    hashes = set()
    for _ in range(2):
        output = _export(onnx_model(quantized=True), ctx, format="tflite")
        hashes.add(sha256_file(ctx.stage_dir / output.file_name))
    assert len(hashes) == 1


def test_config():
    assert ExportConfig(format="onnx").produces == Format.ONNX
    with pytest.raises(Exception, match="two files"):
        _ = ExportConfig().produces
    with pytest.raises(ValueError, match="converter: tensorflow"):
        ExportConfig(format="tflite", select_tf_ops=True)
    with pytest.raises(ValueError, match="opset"):
        ExportConfig(opset=12)
    assert np.isclose(ExportConfig().parity.min_agreement_pct, 99)


def _qdq(build, tmp_path, *, swish: bool) -> Artifact:
    b = build((1, 3, 32, 32), quantized=True)
    value = b.q(b.conv(b.q("images"), 3))
    value = b.q(b.node("HardSwish", [value])) if swish else value
    path = tmp_path / "qdq.onnx"
    onnx.save(b.model(b.node("Flatten", [b.q(b.node("GlobalAveragePool", [value]))])), path)
    return _artifact(path, None)


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_target_of_a_foreign_qdq_model(build, tmp_path, ctx, fmt):
    config = ExportConfig(format=fmt, target="mcu")
    with pytest.raises(CheckError, match=r"qdq\.onnx: hardswish_\d+ \(HardSwish\) computes in float"):
        run(config, {"from": _qdq(build, tmp_path, swish=True)}, ctx)
    assert not list(ctx.stage_dir.iterdir())
    output = run(config, {"from": _qdq(build, tmp_path, swish=False)}, ctx)
    assert output.metrics["float_ops"] == 0
