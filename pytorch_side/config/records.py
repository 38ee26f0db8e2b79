"""The records of a config, one per concern. Comments say why a default has its value."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Pixels = Annotated[int, Meta(ge=32, le=1024)]  # both networks reduce an image's side by 32
Share = Annotated[float, Meta(ge=0, le=1)]
Dropped = Annotated[float, Meta(ge=0, le=0.99)]
Pairs = tuple[tuple[int, int], ...]  # (stage of the trained network, stage of its teacher)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record whose fields are checked when it is read."""


class Data(Record):
    """How the images are split, where the folder has no split.csv."""

    split: Literal["given", "random"] = "given"  # random: a new split, to measure leakage
    split_seed: Seed = 0  # not `seed`: runs with different seeds are scored on the same images
    val_share: Annotated[float, Meta(ge=0, le=0.9)] = 0.12  # of each class
    test_share: Annotated[float, Meta(ge=0, le=0.9)] = 0.12
    group_by: str = ""  # photos that stay in one split: "folder", a regular expression, "none"
    test_group: str = ""  # the group that becomes the test split; "" = drawn at random
    crop: Literal["", "center"] = ""  # of photos that are not square; "" squashes them
    # What the draw takes together; "" = decided by the number of groups, and kept in config.json
    drawn_by: Literal["", "photo", "group"] = ""
    # In the loss: "balanced" gives each class the same weight, however many photos it has.
    # It raises balanced accuracy and may lower top-1.
    class_weights: Literal["", "balanced"] = ""


class Augment(Record):
    """How training images are augmented."""

    seed: Seed = 0  # not `seed`: runs with different seeds can share cached teacher outputs
    cached: Annotated[int, Meta(ge=0, le=10_000)] = (
        0  # augmentations per image; 0 = a new one every epoch
    )
    area_min: Annotated[float, Meta(ge=0.01, le=1)] = 0.5  # smaller crops lose the lesion
    aspect: Annotated[float, Meta(ge=0, le=0.9)] = (
        0.2  # ± share of the ratio of width to height: imitates slanted cameras
    )
    color: Share = 0.3  # ± share of brightness, contrast and saturation: imitates other cameras
    any_angle: Share = 0.5  # share rotated by any angle; the others turn by multiples of 90°
    mixup: Annotated[float, Meta(ge=0, le=0.5)] = 0.0  # largest share of another image
    backgrounds: Share = 0.0  # share of leaves put on the background of another class's photo


class Student(Record):
    name: str = "tf_mobilenetv3_small_100"  # any timm tf_mobilenetv3_*
    size: Pixels = 96  # 96…160 fits boards with 256 KB…512 KB of RAM
    init: str = ""  # weights to start from: 5 points better than random ones on 12,000 leaves
    pretrained: bool = False  # timm's ImageNet weights; needs the internet
    # A wider network, whose weights `init` or `pretrained` name. The student starts from evenly
    # chosen channels of it.
    selected_from: str = ""
    dropout: Dropped = 0.2  # before the classifier


class Teacher(Record):
    # Any timm Swin; "swin": see `arguments`; or a finished student's name, to teach logits alone.
    name: str = "swin_large_patch4_window7_224"
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)  # for timm's SwinTransformer
    stem: str = ""  # a timm network; its stages up to stride 16 replace the patch embedding
    stem_init: str = ""  # its pretrained weights: a file, or "package:NAME" of an installed package
    size: Pixels = 224  # in pixels; 224 suits windows of 7
    init: str = ""  # training: weights to start from; distillation: the finished teacher
    # "half": (p - 127.5) / 127.5; "student": (p - 128) / 128, for a student that teaches
    input: Literal["half", "imagenet", "student"] = "half"
    pretrained: bool = False  # timm's weights; needs the internet
    drop_path: Dropped = 0.0

    @property
    def is_student(self) -> bool:
        """Whether it is a finished student, which has logits and no attention maps."""
        return "mobilenetv3" in self.name


class Distillation(Record):
    """loss = (1 - alpha) * CE + alpha * temperature² * logit loss + beta * attention."""

    alpha: Share = 0.0  # 0 and beta = 0: cross-entropy alone, no teacher needed
    temperature: Annotated[float, Meta(ge=0.01, le=1000)] = 2.0
    logit_loss: Literal["kl", "dkd", "dist"] = "kl"
    beta: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    attention_map: Literal["self", "energy"] = (
        "self"  # of the teacher; self: the self-attention that each position receives
    )
    attention_formula: Literal["paper", "code"] = "paper"  # of Zagoruyko & Komodakis, who use both
    # [student stage, teacher stage] whose maps are compared; stages count from 0
    attention_pairs: Pairs = ((3, 2), (5, 3))
    alignment: bool = True  # a learned 1x1 projection of the student's features
    attention_grid: Annotated[int, Meta(ge=1, le=14)] = (
        14  # largest side of a cached map: 196 bytes
    )
    flips: Literal[1, 8] = 1  # 8: the teacher's outputs are means over flips and rotations by 90°
    # For the teacher's outputs. Twice as fast on processors that have bfloat16; the others stay in
    # float32 (nets/precision.py).
    bf16: bool = False
    cache: str = ""  # folder of cached teacher outputs; "" = teacher_cache/ in the run
    # True: the student sees the augmentations that the teacher answered (consistent teaching, Beyer
    # et al. 2022, arXiv 2106.05237). False: it sees new ones in every pass, and learns from the
    # mean of the photo's cached logits; needs beta = 0, since maps belong to one augmentation.
    consistent: bool = True
    unlabeled: str = ""  # a folder of more photos without a label

    @property
    def used(self) -> bool:
        """Whether a teacher is needed."""
        return self.alpha > 0 or self.beta > 0


class Hint(Record):
    """Feature distillation for networks without ImageNet weights: loss + weight * features."""

    init: str = ""  # a finished student.safetensors whose features are the hint
    weight: Annotated[float, Meta(ge=0, le=1e6)] = 3.0
    # [own stage, hint stage] of equal stride; these are for MobileNetV3-Large and -Small
    pairs: Pairs = ((2, 1), (4, 3), (5, 4))


class Optimizer(Record):
    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 40
    # Over the images in one epoch. Each epoch is scored on val and saved, which takes longer than a
    # pass over few images.
    passes: Annotated[int, Meta(ge=1, le=10_000)] = 1
    batch: Annotated[int, Meta(ge=1, le=100_000)] = 96  # of all processes together
    learning_rate: Annotated[float, Meta(ge=0, le=10)] = 1.5e-3
    # AdamW's second moments are noise in the first hundred steps.
    warmup_epochs: Annotated[float, Meta(ge=0, le=100_000)] = 2.0
    weight_decay: Annotated[float, Meta(ge=0, le=10)] = 0.03  # of matrices and kernels only
    clip_norm: Annotated[float, Meta(ge=0)] = 5.0  # one unusual batch must not ruin a Swin; 0 = off
    label_smoothing: Dropped = 0.1
    # Decay of the averaged weights, which score about a point above the last ones; 0 = off.
    ema: Annotated[float, Meta(ge=0, le=0.999999)] = 0.9995
    bf16: bool = False  # as above; faster for a Swin, not for a small CNN


class Int8(Record):
    # Images per epoch of QAT, spread over train; 0 = all. Exact integers are slow.
    qat_images: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Config(Record):
    """All settings of a run."""

    seed: Seed = 0  # of initial weights, order of images and dropout
    data: Data = Data()
    augment: Augment = Augment()
    student: Student = Student()
    teacher: Teacher = msgspec.field(default_factory=Teacher)
    distillation: Distillation = Distillation()
    hint: Hint = Hint()
    optimizer: Optimizer = Optimizer()
    int8: Int8 = Int8()

    @property
    def several_teachers(self) -> bool:
        """Whether the cache holds outputs of an ensemble or of cross-fitted teachers."""
        return not self.teacher.init and bool(self.distillation.cache)
