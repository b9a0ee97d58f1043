"""What a model takes and gives, whichever format it is in, and the one check that it is an image classifier.

Light: no backend, since the server asks it too. Letters: N batch, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from compress.errors import ModelFileError

_FLOATS = ("float32", "float16")
_CHANNELS = (1, 3)  # of images
Size = int | None
Chw = tuple[int, int, int]


@dataclass(frozen=True)
class Port:
    """One input or output.

    Attributes:
        name: of the tensor.
        dtype: numpy's name of its numbers, such as "float32".
        shape: its sizes; None where one is left open.
    """

    name: str
    dtype: str
    shape: tuple[Size, ...]

    def __str__(self) -> str:
        """Return it in words: "images float32 [?, 3, 224, 224]"."""
        return f"'{self.name}' {self.dtype} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Interface:
    """All inputs and outputs, in the order of the file."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def __str__(self) -> str:
        """Return both in words."""
        return f"inputs {_listed(self.inputs)}; outputs {_listed(self.outputs)}"


@dataclass(frozen=True)
class ClassifierInterface:
    """The interface of an image classifier: one float image [N,C,H,W] or [N,H,W,C] in, one float row [N,K] out.

    A file may give the row as a map [N,K,1,1]; `logits` has it as [N,K].
    """

    image: Port
    logits: Port

    @property
    def batch(self) -> Size:
        """Return N, None where it is open."""
        return self.image.shape[0]

    @property
    def channels_last(self) -> bool:
        """Return whether an image is [H, W, C]."""
        return is_channels_last(self.image.shape)

    @property
    def chw(self) -> tuple[Size, ...]:
        """Return (C, H, W), None where a size is open."""
        _, *sizes = self.image.shape
        return (sizes[2], sizes[0], sizes[1]) if self.channels_last else tuple(sizes)

    @property
    def classes(self) -> Size:
        """Return K, None where the graph does not say."""
        return self.logits.shape[1]

    def fixed(self, where: object) -> tuple[Chw, int]:
        """Return (C, H, W) and K, of which none may be open.

        Raises:
            ModelFileError: one is.
        """
        chw, classes = self.chw, self.classes
        if classes is None or None in chw:
            raise ModelFileError(
                f"{where}: takes {self.image} and gives {self.logits}; every size but the first must be fixed",
                hint="say their size (--preprocess imagenet:224), or export it with fixed height and width",
            )
        channels, height, width = (int(size or 0) for size in chw)
        return (channels, height, width), classes


def classifier_interface(interface: Interface, where: object) -> ClassifierInterface:
    """Return the interface as an image classifier's.

    Args:
        interface: of the file.
        where: the file or stage, for messages.

    Raises:
        ModelFileError: not one float image in and one float row of logits out.
    """
    one = len(interface.inputs) == len(interface.outputs) == 1
    fits = (
        one
        and len(interface.inputs[0].shape) == 4
        and is_row_or_dot(interface.outputs[0].shape)
        and all(port.dtype in _FLOATS for port in (*interface.inputs, *interface.outputs))
        and not any(size is not None and size < 1 for size in (*interface.inputs[0].shape, *interface.outputs[0].shape))
    )
    if not fits:
        raise ModelFileError(
            f"{where}: not an image classifier: found {interface}; allowed are one float input [N, C, H, W] (or "
            "[N, H, W, C]) and one "
            "float output [N, K], no size below 1",
            hint="export the classifier alone: one image in, one row of logits out; a detector: see imgc describe",
        )
    logits = interface.outputs[0]
    return ClassifierInterface(interface.inputs[0], replace(logits, shape=logits.shape[:2]))


def is_channels_last(shape: tuple[Size, ...]) -> bool:
    """Return whether images of a shape are [N, H, W, C]: three channels, or one, stand last and not first."""
    return len(shape) == 4 and shape[3] in _CHANNELS and shape[1] not in _CHANNELS


def is_row_or_dot(shape: tuple[Size, ...]) -> bool:
    """Return whether a shape is that of one row of numbers for each image: [N, K], or the map [N, K, 1, 1]."""
    return len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1))


def _listed(ports: tuple[Port, ...]) -> str:
    return ", ".join(map(str, ports)) or "none"
