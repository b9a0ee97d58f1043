"""The architectures: small image classifiers of torchvision and timm under 30 million parameters, one of each kind."""

from __future__ import annotations

TORCHVISION = """
    densenet121 efficientnet_b0 efficientnet_b1 efficientnet_v2_s googlenet inception_v3 mnasnet0_5 mnasnet1_0
    mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_400mf regnet_x_800mf regnet_y_400mf
    regnet_y_800mf resnet18 resnet34 resnet50 resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0
    squeezenet1_0 squeezenet1_1 convnext_tiny swin_t
"""
TIMM = """
    convnext_atto convnext_femto convnext_nano cs3darknet_s cspresnet50 darknet17 darknet53 densenet121 dla34
    edgenext_small edgenext_xx_small efficientformer_l1 efficientnet_b0 efficientnet_es efficientnet_lite0
    efficientvit_b0 efficientvit_m0 ese_vovnet19b_slim fastvit_t8 fbnetc_100 fbnetv3_b gernet_s ghostnet_100
    ghostnetv2_100 hardcorenas_a hgnet_tiny hgnetv2_b0 hrnet_w18_small inception_next_atto lcnet_050 lcnet_100
    levit_128s mixnet_s mnasnet_100 mobilenetv1_100 mobilenetv2_100 mobilenetv3_large_100 mobilenetv3_small_050
    mobilenetv4_conv_small mobilenetv4_hybrid_medium mobileone_s0 mobileone_s1 mobilevit_xxs mobilevitv2_050
    nf_regnet_b0 nf_resnet26 pit_ti_224 poolformer_s12 regnetx_002 regnety_002 regnetz_b16 repghostnet_050
    repvgg_a0 repvit_m0_9 res2net50_26w_4s resnest14d resnet10t resnet26 resnetv2_50 rexnet_100 rexnetr_100
    selecsls42b semnasnet_100 skresnet18 spnasnet_100 starnet_s1 tf_efficientnet_b0 tf_efficientnet_lite0
    tf_mobilenetv3_small_100 tiny_vit_5m_224 tinynet_a vit_tiny_patch16_224 xcit_nano_12_p16_224
"""
NAMES = tuple(
    f"{library}:{name}" for library, text in (("torchvision", TORCHVISION), ("timm", TIMM)) for name in text.split()
)
EXPORTERS = ("dynamo", "script")
MOST_PARAMETERS = 30_000_000
