"""Classifiers of Embeddings that are linear in them: logits = embeddings · weights + bias.

All take float32 embeddings (n, d) and labels (n,) from 0 to `classes` − 1. A class without pictures gets ABSENT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker.serving.tta import TINY, softmax

#: Logit of a class without pictures: its probability is 0, and float16 can hold it.
ABSENT: Final = -30_000.0
#: Steps of logistic regression for each strength.
STEPS: Final = 25
#: Factor of the bound of the Hessian, since Embeddings are correlated a little.
SLACK: Final = np.float32(1.5)
#: Dimensions that classifiers are fitted in.
PROJECTED: Final = 512

Floats = NDArray[np.float32]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Linear:
    """Weights (d, classes) and bias (classes,) of a linear classifier."""

    weights: Floats
    bias: Floats

    def logits(self, embeddings: Floats) -> Floats:
        """Return the logits (n, classes)."""
        return embeddings @ self.weights + self.bias


@dataclass(frozen=True, eq=False)
class Projection:
    """The principal components of Embeddings: `axes` (d, at most PROJECTED), and their `centre` (d,).

    Their first 512 have 97 % of the variance of photos' Embeddings. Classifiers are as good in them, and fitted in a
    fraction of the time.
    """

    centre: Floats
    axes: Floats

    @classmethod
    def of(cls, embeddings: Floats) -> Projection:
        """Return the projection for Embeddings (n, d)."""
        centre = np.asarray(embeddings.mean(axis=0), np.float32)
        return cls(centre, _principal_axes(embeddings - centre))

    def __call__(self, embeddings: Floats) -> Floats:
        """Return the projected Embeddings."""
        return np.asarray((embeddings - self.centre) @ self.axes, np.float32)

    def undo(self, linear: Linear) -> Linear:
        """Return the classifier of Embeddings that is `linear` of their projection."""
        weights: Floats = self.axes @ linear.weights
        return Linear(weights, linear.bias - self.centre @ weights)


def _principal_axes(centred: Floats) -> Floats:
    """Return the axes of `Projection` for centred Embeddings. Those beyond what a few pictures span are zero.

    Fewer pictures than dimensions have the smaller matrix of products, with the same eigenvalues.
    """
    count, dimensions = centred.shape
    if count >= dimensions:
        return np.asarray(np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :PROJECTED], np.float32)
    squares, vectors = np.linalg.eigh(centred @ centred.T)
    spanned = squares > max(float(squares[-1]), TINY) * count * np.finfo(np.float32).eps
    found = (centred.T @ (vectors[:, spanned] / np.sqrt(squares[spanned])))[:, ::-1][:, :PROJECTED]
    axes = np.zeros((dimensions, min(dimensions, PROJECTED)), np.float32)
    axes[:, : found.shape[1]] = found
    return axes


@dataclass(frozen=True)
class Method:
    """A way to fit a classifier. `strengths` are those that are tried; the strongest regularization is first."""

    name: str
    strengths: Sequence[float]
    fit: Callable[[Floats, Integers, int, Sequence[float]], list[Linear]]


def nearest_mean(embeddings: Floats, labels: Integers, classes: int, strengths: Sequence[float]) -> list[Linear]:
    """Return the classifier by the nearest class mean (Euclidean), once for each strength, which has no effect."""
    means, present = class_means(embeddings, labels, classes)
    return [_by_means(means.T, means, present)] * len(strengths)


def shrunk_lda(embeddings: Floats, labels: Integers, classes: int, strengths: Sequence[float]) -> list[Linear]:
    """Return linear discriminant analysis with equal priors for each shrinkage, 0 to 1.

    The covariance within classes is mixed with a multiple of the identity of the same trace, by the shrinkage
    (Friedman, "Regularized Discriminant Analysis", 1989).
    """
    means, present = class_means(embeddings, labels, classes)
    residuals = embeddings - means[labels]
    covariance = residuals.T @ residuals / np.float32(len(embeddings))
    variance = max(float(np.trace(covariance)) / len(covariance), TINY)
    fitted = []
    for strength in strengths:
        shrunk = covariance * np.float32(1 - strength)
        shrunk[np.diag_indices_from(shrunk)] += np.float32(strength * variance)
        fitted.append(_by_means(np.linalg.solve(shrunk, means.T), means, present))
    return fitted


def logistic(embeddings: Floats, labels: Integers, classes: int, strengths: Sequence[float]) -> list[Linear]:
    """Return multinomial logistic regression with an L2 penalty for each strength, each starting from the one before.

    The penalty is strength · variance / 2 · ‖weights‖², per picture. Minimized with Nesterov's accelerated gradient
    and restarts (O'Donoghue and Candès 2015). `embeddings` are nearly uncorrelated (see `Projection`), so Böhning's
    bound of the Hessian ("Multinomial logistic regression algorithm", 1992) is nearly diagonal: the step size is 1, and
    there is no line search.
    """
    present = np.bincount(labels, minlength=classes) > 0
    centre = embeddings.mean(axis=0)
    centred = embeddings - centre
    variances = np.einsum("nd,nd->d", centred, centred) / np.float32(len(centred))
    penalties = np.asarray(strengths, np.float32) * max(float(variances.mean()), TINY)
    truth = np.eye(classes, dtype=np.float32)[labels]
    problem = _Problem(centred, truth, np.where(present, 0, ABSENT).astype(np.float32))
    weights, fitted = np.zeros((embeddings.shape[1] + 1, classes), np.float32), []
    for penalty in penalties:
        weights = problem.descend(weights, penalty, (SLACK * variances / 2 + penalty)[:, None])
        fitted.append(_masked(weights[:-1], weights[-1] - centre @ weights[:-1], present))
    return fitted


def class_means(embeddings: Floats, labels: Integers, classes: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the mean of each class (classes, d), zero for a class without pictures, and which classes have some."""
    counts = np.bincount(labels, minlength=classes)
    sums = np.eye(classes, dtype=np.float32)[labels].T @ embeddings
    return sums / np.maximum(counts, 1).astype(np.float32)[:, None], counts > 0


def _by_means(directions: Floats, means: Floats, present: NDArray[np.bool_]) -> Linear:
    """Return the classifier by the smallest Mahalanobis distance: `directions` (d, classes) = covariance⁻¹ · means."""
    return _masked(directions, -0.5 * np.einsum("cd,dc->c", means, directions), present)


def _masked(weights: Floats, bias: Floats, present: NDArray[np.bool_]) -> Linear:
    """Return the classifier with weights and biases that are centred over the classes: probabilities do not change."""
    weights = weights - weights[:, present].mean(axis=1, keepdims=True)
    bias = bias - bias[present].mean()
    return Linear(np.where(present, weights, 0).astype(np.float32), np.where(present, bias, ABSENT).astype(np.float32))


@dataclass(frozen=True, eq=False)
class _Problem:
    """Logistic regression of centred embeddings (n, d); `truth` is one-hot (n, classes), `hidden` is ABSENT or 0."""

    centred: Floats
    truth: Floats
    hidden: Floats

    def step(self, weights: Floats, penalty: np.float32, bound: Floats) -> Floats:
        """Return the preconditioned gradient at `weights` (d + 1, classes), whose last row is the bias."""
        logits = self.centred @ weights[:-1] + weights[-1] + self.hidden
        excess = (softmax(logits) - self.truth) / np.float32(len(self.truth))
        gradient = self.centred.T @ excess + penalty * weights[:-1]
        step: Floats = np.vstack([gradient / bound, 2 * excess.sum(axis=0, keepdims=True)])
        return step

    def descend(self, weights: Floats, penalty: np.float32, bound: Floats) -> Floats:
        """Return the weights after STEPS steps of Nesterov's method; it starts anew when it goes uphill."""
        ahead, momentum = weights, 1.0
        for _ in range(STEPS):
            step = self.step(ahead, penalty, bound)
            after = ahead - step
            if np.vdot(step, after - weights) > 0:
                momentum = 1.0
            faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = after + np.float32((momentum - 1) / faster) * (after - weights)
            weights, momentum = after, faster
        return weights


METHODS: Final = (
    Method("nearest_mean", (1.0,), nearest_mean),
    Method("lda", (0.8, 0.5, 0.3, 0.2, 0.1), shrunk_lda),
    Method("logistic", (0.01, 0.001), logistic),
)
"""The methods that are tried, the simplest first."""
