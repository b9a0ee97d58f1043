"""`Degrader`: when the smaller model answers for the first. Hysteresis, so that it does not flutter."""

from __future__ import annotations

from dataclasses import dataclass

ENTER_LOAD = 0.4  # predicted wait over deadline at which the smaller model takes over
LEAVE_LOAD = 0.1  # below which, for HOLD_S without a break, the first one comes back
HOLD_S = 3.0


@dataclass
class Degrader:
    """Decides from the load, seen at each admission and at each tick of the watch.

    Attributes:
        active: whether the smaller model answers.
        forced: whether memory is short, which asks for the smaller model whatever the load.
    """

    active: bool = False
    forced: bool = False
    _calm_since_s: float | None = None

    def see(self, load: float, now_s: float) -> None:
        """Take in a load: the predicted wait as a share of the deadline, 0 and up.

        Entered at once, since the queue fills within a deadline; left only after `HOLD_S` of calm.
        """
        if self.forced or load >= ENTER_LOAD:
            self.active = True
            self._calm_since_s = None
        elif self.active:
            self._see_calm(load, now_s)

    def _see_calm(self, load: float, now_s: float) -> None:
        if load > LEAVE_LOAD:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        elif now_s - self._calm_since_s >= HOLD_S:
            self.active = False
            self._calm_since_s = None
