"""The families of trunks that tests cover: where their maps come from, and what sizes they take."""

from __future__ import annotations

from typing import Literal, NamedTuple

Others = Literal["all of these", "multiples of its own", "none"]


class Family(NamedTuple):
    """One row.

    Attributes:
        title: What its authors call it.
        maps: Where the map comes from.
        stride: Pixels of a side to one place of the map.
        step: It is built for images whose side is a multiple of so many pixels; 1 is any.
        others: Sizes that it takes beside its own, once it is built.
    """

    title: str
    maps: str
    stride: int = 32
    step: int = 1
    others: Others = "all of these"

    @property
    def sizes(self) -> str:
        """Describe the sizes it takes."""
        built = "any" if self.step == 1 else f"multiples of {self.step}"
        if self.others == "all of these":
            return built
        return f"{built}; once built, {'only its own' if self.others == 'none' else self.others}"


STAGE = "last stage"
LAST = "last 1x1 convolution"
TOKENS = "tokens of patches, after the last norm"

# A small member of each family, as timm calls it. Any timm network with spatial maps works.
FAMILIES: dict[str, Family] = {
    "tiny": Family("tacit's own", "last convolution; for small generated images", stride=8),
    "resnet18": Family("ResNet", STAGE),
    "regnetx_002": Family("RegNet", STAGE),
    "densenet121": Family("DenseNet", "last norm"),
    "mobilenetv2_050": Family("MobileNetV2", LAST),
    "mobilenetv3_small_050": Family("MobileNetV3", STAGE),
    "efficientnet_b0": Family("EfficientNet", LAST),
    "convnext_atto": Family("ConvNeXt", STAGE),
    "convnextv2_atto": Family("ConvNeXt V2", STAGE),
    "fastvit_t8": Family("FastViT", "last convolution"),
    "mobilevit_xxs": Family("MobileViT", LAST),
    "pvt_v2_b0": Family("PVTv2", STAGE),
    "swin_tiny_patch4_window7_224": Family("Swin", "last norm", step=4),
    "swinv2_tiny_window8_256": Family("Swin V2", "last norm", step=4),
    "coatnet_nano_rw_224": Family("CoAtNet", STAGE, others="none"),
    "maxvit_pico_rw_256": Family("MaxViT", STAGE, step=32, others="multiples of its own"),
    "vit_tiny_patch16_224": Family("ViT", TOKENS, stride=16, step=16),
    "deit_tiny_distilled_patch16_224": Family("DeiT", TOKENS, stride=16, step=16),
    "eva02_tiny_patch14_224": Family("EVA-02", TOKENS, stride=14, step=14),
    "vit_small_patch14_dinov2": Family("DINOv2", TOKENS, stride=14, step=14),
    "vit_small_patch14_reg4_dinov2": Family("DINOv2 with registers", TOKENS, stride=14, step=14),
    "vit_tiny_patch16_dinov3_qkvb": Family("DINOv3", TOKENS, stride=16, step=16),
    "vit_base_patch32_clip_224": Family("CLIP", TOKENS, stride=32, step=32),
    "vit_base_patch16_siglip_224": Family("SigLIP", TOKENS, stride=16, step=16),
}
