"""The hybrid loss and its logit losses: scalars, averaged over a batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pytorch_side.config import Distillation
from pytorch_side.data.unlabeled import NO_LABEL
from pytorch_side.distillation.attention import attention_distance
from swin2mcu.common.cli import UserError
from swin2mcu.common.dataset import ImageFolder


def kl_loss(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """KL(softmax(teacher/T) ‖ softmax(student/T)), logits (batch, classes); labels are not used.

    Hinton et al. 2015 (arXiv 1503.02531). The caller multiplies by T², which keeps the gradients'
    size.
    """
    return functional.kl_div(
        functional.log_softmax(student / temperature, dim=1),
        functional.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )


def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    temperature: float,
    target_weight: float = 1.0,
    rest_weight: float = 8.0,
) -> Tensor:
    """Decoupled distillation of Zhao et al. 2022 (arXiv 2203.08679): a·TCKD + b·NCKD.

    `student` and `teacher` are logits (batch, classes), `labels` (batch,) classes. The
    distributions are softmax(logits / temperature):
    TCKD = KL(teacher ‖ student) of the two-way distributions (true class, all others);
    NCKD = the same for the distributions over the other classes only.
    Weights 1 and 8 are the authors' values for CIFAR-100. The caller multiplies by T². Raises
    UserError with mixup.
    """
    if labels.dim() > 1:
        raise UserError("logit_loss 'dkd' needs one true class per image: set augment.mixup = 0")
    true = functional.one_hot(labels, student.shape[1]).bool()

    def binary(logits: Tensor) -> Tensor:
        logs = functional.log_softmax(logits / temperature, dim=1)
        rest = logs.masked_fill(true, -torch.inf).logsumexp(dim=1)
        return torch.stack([logs[true], rest], dim=1)

    def others(logits: Tensor) -> Tensor:
        rest = (logits / temperature)[~true].view(len(logits), -1)
        return functional.log_softmax(rest, dim=1)

    target = functional.kl_div(
        binary(student), binary(teacher), reduction="batchmean", log_target=True
    )
    rest = functional.kl_div(
        others(student), others(teacher), reduction="batchmean", log_target=True
    )
    return target_weight * target + rest_weight * rest


def dist_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    temperature: float,
    between_weight: float = 1.0,
    within_weight: float = 1.0,
) -> Tensor:
    """DIST of Huang et al. 2022 (arXiv 2205.10536): 1 - Pearson correlation, over rows and columns.

    Logits are (batch, classes), and p = softmax(logits / temperature); labels are not used.
    Rows of p: each image's class probabilities (between classes); columns: each class's
    probabilities over the batch (within a class). The weights default to 1 each.
    """
    p, q = ((x / temperature).softmax(dim=1) for x in (student, teacher))

    def distance(a: Tensor, b: Tensor) -> Tensor:
        a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
        return 1.0 - functional.cosine_similarity(a, b, dim=1, eps=1e-8).mean()

    return between_weight * distance(p, q) + within_weight * distance(p.T, q.T)


def class_weights_of(folder: ImageFolder, rule: str) -> Tensor | None:
    """Weights of the classes in the loss, (classes,); their mean over the train photos is 1.

    "balanced": photos / (classes * photos of the class), as in scikit-learn. "": None.
    """
    if not rule:
        return None
    counts = np.bincount(folder.labels[folder.indices("train")], minlength=len(folder.classes))
    return torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)


def cross_entropy(
    logits: Tensor, labels: Tensor, label_smoothing: float, class_weights: Tensor | None = None
) -> Tensor:
    """Averaged over the whole batch; an image whose label is NO_LABEL adds nothing to the sum.

    So each labeled image has the same weight, however many images of a batch have labels. With
    class weights (classes,), on any device, its whole loss has the weight of its class, and of a
    mixed image each share. Torch's own weights would also multiply what label smoothing gives to
    the other classes: a photo of a large class would belong to a small one.
    """
    if class_weights is not None:
        weighted = _shares(labels, logits.shape[1]) * class_weights.to(logits.device)
        spread = label_smoothing * weighted.sum(dim=1, keepdim=True) / logits.shape[1]
        wanted = (1.0 - label_smoothing) * weighted + spread
        return functional.cross_entropy(logits, wanted, reduction="sum") / len(labels)
    if labels.dim() > 1 or not bool((labels == NO_LABEL).any()):
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    total = functional.cross_entropy(
        logits,
        labels,
        ignore_index=NO_LABEL,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return total / len(labels)


def _shares(labels: Tensor, classes: int) -> Tensor:
    """Shares of the classes (batch, classes); all 0 for NO_LABEL."""
    if labels.dim() > 1:
        return labels
    shares = functional.one_hot(labels.clamp_min(0), classes).float()
    return shares * (labels != NO_LABEL).unsqueeze(1)


LOGIT_LOSSES = {"kl": kl_loss, "dkd": dkd_loss, "dist": dist_loss}


def hybrid_loss(
    logits: Tensor,
    labels: Tensor,
    settings: Distillation,
    label_smoothing: float,
    teacher_logits: Tensor | None = None,
    maps: Mapping[tuple[int, int], tuple[Tensor, Tensor]] | None = None,
    class_weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """(1 - alpha)·CE + alpha·T²·logit + beta·attention, as {"loss": …, each part unweighted}.

    `labels` are (batch,) classes or (batch, classes) shares. `maps` holds (student map, teacher
    map), (batch, h, w) each, for each pair of stages. Their distances are averaged, so that beta
    means the same for any number of pairs; the paper's equation 2 sums them. `class_weights`
    (classes,) are for the cross-entropy.
    """
    hard = cross_entropy(logits.float(), labels, label_smoothing, class_weights)
    parts = {"cross_entropy": hard}
    loss = (1.0 - settings.alpha) * hard
    if settings.alpha > 0:
        if teacher_logits is None:
            raise ValueError("alpha > 0 needs the teacher's logits")
        logit_loss = LOGIT_LOSSES[settings.logit_loss]
        soft = logit_loss(logits.float(), teacher_logits.float(), labels, settings.temperature)
        parts["logit"] = soft
        loss = loss + settings.alpha * settings.temperature**2 * soft
    if settings.beta > 0:
        if not maps:
            raise ValueError("beta > 0 needs attention maps")
        formula = settings.attention_formula
        distances = [attention_distance(s, t, formula) for s, t in maps.values()]
        parts["attention"] = torch.stack(distances).mean()
        loss = loss + settings.beta * parts["attention"]
    return {"loss": loss, **parts}
