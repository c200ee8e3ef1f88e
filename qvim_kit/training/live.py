"""Curves that grow in a notebook while `fit` runs."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback


class LiveCurves(Callback):
    """Draws loss and validation MRR anew after each epoch, in the cell that runs `fit`.

    Notebook: 04_finetune. Use as ``fit(…, callbacks=[LiveCurves()])``.
    """

    def __init__(self):
        self.handle: Any = None

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self._draw(trainer, module.history)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self._draw(trainer, module.history)

    def _draw(self, trainer: Any, history: list[dict[str, float]]) -> None:
        import pandas as pd
        from IPython.display import display

        from qvim_kit.plots import plot_history

        if not history or not trainer.is_global_zero:
            return
        figure = plot_history(pd.DataFrame(history))
        if self.handle is None:
            self.handle = display(figure, display_id=True)
        else:
            self.handle.update(figure)
