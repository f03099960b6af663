"""Networks from images to features, without the last layer that tells classes apart."""

from __future__ import annotations

from torch import nn

from vipriors.methods.classification.residual import residual_network


def residual_features(
    channels: int, width: int, stages: int, blocks: int, image_size: int
) -> tuple[nn.Sequential, int]:
    """The small residual network up to its pooling, with fresh weights.

    Args:
        channels: Of the images.
        width: Channels of the first stage; each later stage has twice as many.
        stages: Each at half the resolution of the one before.
        blocks: Residual blocks a stage.
        image_size: Shorter side in pixels; over 32 the stem reduces by two, over 64 by four.

    Returns:
        The network `(B, channels, H, W)` to `(B, D)`, and D.
    """
    widths = tuple(width * 2**stage for stage in range(stages))
    network = residual_network(channels, 1, stem=width, widths=widths, blocks=blocks, image_size=image_size)[
        :-1
    ]
    stem = network[0]
    assert isinstance(stem, nn.Conv2d)
    if 32 < image_size <= 64:
        stem.stride = (2, 2)
    return network, widths[-1]


def resnet50_features(channels: int) -> tuple[nn.Sequential, int]:
    """ResNet-50 up to its pooling, with fresh weights: `(B, channels, H, W)` to `(B, 2048)`; and 2048.

    Its shortcuts average the pixels that the published ones skip.
    """
    from torchvision.models import resnet50

    network = resnet50(weights=None)
    network.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    for stage in (network.layer2, network.layer3, network.layer4):
        convolution, norm = stage[0].downsample
        # The gradient of a strided 1x1 convolution overruns memory on some CPUs (oneDNN issue 6035).
        convolution.stride = (1, 1)
        stage[0].downsample = nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), convolution, norm)
    return nn.Sequential(*list(network.children())[:-1], nn.Flatten()), 2048
