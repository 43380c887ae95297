"""What is known of the codecs that the restored video can be written in, as data."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import av

from vidsr.errors import ConfigError, MissingCodecError
from vidsr.media.frames import format_facts, planar_format
from vidsr.nearest import nearest

PNG = "png"
"""What a plan calls the container of a picture, and its codec."""

AUTO = "auto"
"""The codec that a plan decides on: see media/output_picture.py."""

SPEEDS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
"""What x264 calls its presets; every codec accepts these names."""


@dataclass(frozen=True, slots=True)
class HdrOption:
    """How an encoder is told of HDR metadata."""

    name: str
    """Its option that takes key=value, joined by colons."""
    mastering: str
    light: str
    """The keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecFacts:
    """What is known of a codec before a frame is encoded."""

    name: str
    """What users call it."""
    encoder: str
    """FFmpeg's name of the encoder."""
    codec: str
    """FFmpeg's name of what it writes."""
    presets: Mapping[str, Mapping[str, str]]
    """Encoder options of each preset."""
    max_crf: float | None
    """Upper end of the constant quality scale; None where there is none, and `crf` says nothing."""
    options: Mapping[str, str]
    """Options that are always set."""
    accepts: Literal["yuv", "yuva", "any"] = "yuv"
    """Pixel formats that players of this codec show: YUV, also with alpha, or gray and RGB as well."""
    takes_odd_sizes: bool = False
    """Also where two luma samples share a chroma sample."""
    is_for_hdr: bool = True
    """Players look for HDR in it."""
    hdr_option: HdrOption | None = None
    """None: it has no place for HDR metadata."""
    has_range: bool = True
    """Its streams can say that their samples have the full range."""
    muxers: frozenset[str] = frozenset({"mp4", "mov", "matroska", "webm"})
    """Containers in which players look for it, as far as FFmpeg writes it there."""
    mp4_tag: str | None = None
    """Sample entry in mp4 and mov where FFmpeg's own choice plays in fewer places."""
    aliases: tuple[str, ...] = ()

    @property
    def pix_fmts(self) -> tuple[str, ...]:
        """Pixel formats of this build's encoder that are of use, in its own order of preference."""
        return tuple(name for name in _pix_fmts(self.encoder) if self._is_of_use(name))

    def _is_of_use(self, pix_fmt: str) -> bool:
        facts = format_facts(pix_fmt)
        if self.accepts == "any":
            return not pix_fmt.endswith(("f16le", "f32le"))
        is_planar = planar_format(pix_fmt) == pix_fmt
        return facts.family == "yuv" and is_planar and (self.accepts == "yuva" or not facts.has_alpha)


def _same(option: str) -> Mapping[str, Mapping[str, str]]:
    return MappingProxyType({speed: {option: speed} for speed in SPEEDS})


# SVT-AV1 counts its presets down from fast to slow; 8 takes about as long as x264's medium.
# Above 10 it warns of artefacts.
_SVT_SPEEDS = dict(zip(SPEEDS, ("10", "10", "10", "9", "9", "8", "6", "5", "4", "2"), strict=True))
_SVT_PRESETS = _SVT_SPEEDS | {str(number): str(number) for number in range(11)}
_VPX_SPEEDS = dict(zip(SPEEDS, ("5", "5", "5", "4", "3", "2", "1", "1", "0", "0"), strict=True))
# ProRes has grades of quality instead of speeds; without one, 4:2:2 gets hq and 4:4:4 gets 4444.
_PRORES_PROFILES = ("proxy", "lt", "standard", "hq", "4444", "4444xq")
_PRORES_PRESETS: dict[str, dict[str, str]] = {speed: {} for speed in SPEEDS} | {
    profile: {"profile": profile} for profile in _PRORES_PROFILES
}

CODECS: tuple[CodecFacts, ...] = (
    CodecFacts(
        name="h264",
        aliases=("x264", "avc", "libx264"),
        encoder="libx264",
        codec="h264",
        presets=_same("preset"),
        max_crf=51,
        is_for_hdr=False,
        hdr_option=HdrOption("x264-params", "mastering-display", "cll"),
        options={},
    ),
    CodecFacts(
        name="hevc",
        aliases=("x265", "h265", "libx265"),
        encoder="libx265",
        codec="hevc",
        presets=_same("preset"),
        max_crf=51,
        # x265 opens its groups of pictures and prints its settings unless it is told not to.
        options={"x265-params": "log-level=none:open-gop=0"},
        hdr_option=HdrOption("x265-params", "master-display", "max-cll"),
        mp4_tag="hvc1",  # Apple's players refuse hev1, FFmpeg's choice
    ),
    CodecFacts(
        name="av1",
        aliases=("svtav1", "libsvtav1"),
        encoder="libsvtav1",
        codec="av1",
        presets={name: {"preset": number} for name, number in _SVT_PRESETS.items()},
        max_crf=63,
        hdr_option=HdrOption("svtav1-params", "mastering-display", "content-light"),
        options={},
    ),
    CodecFacts(
        name="vp9",
        aliases=("libvpx-vp9",),
        encoder="libvpx-vp9",
        codec="vp9",
        presets={name: {"cpu-used": number} for name, number in _VPX_SPEEDS.items()},
        max_crf=63,
        accepts="yuva",
        muxers=frozenset({"matroska", "webm"}),
        # Without a rate crf alone counts. One packet for each frame: opacity is a second stream inside of it.
        options={"b": "0", "deadline": "good", "auto-alt-ref": "0"},
    ),
    CodecFacts(
        name="ffv1",
        encoder="ffv1",
        codec="ffv1",
        presets={speed: {} for speed in SPEEDS},
        max_crf=None,
        accepts="any",
        takes_odd_sizes=True,
        muxers=frozenset({"matroska"}),
        # The settings that archives ask for: version 3, every frame a key frame, checksums.
        options={"level": "3", "g": "1", "slices": "4", "slicecrc": "1"},
    ),
    CodecFacts(
        name="prores",
        aliases=("prores_ks",),
        encoder="prores_ks",
        codec="prores",
        presets=_PRORES_PRESETS,
        max_crf=None,
        accepts="yuva",
        has_range=False,
        options={"vendor": "apl0"},
    ),
)


def resolve_codec(name: str) -> CodecFacts:
    """Return the facts of the codec that a user calls `name`.

    Raises:
        ConfigError: no codec of that name is known; the message has the nearest one.
        MissingCodecError: it is known, and not in this FFmpeg build.
    """
    for facts in CODECS:
        if name in {facts.name, *facts.aliases}:
            if not _is_encoder(facts.encoder):
                msg = f"encode.codec={name}: {facts.encoder} is not in this FFmpeg build; take another codec"
                raise MissingCodecError(msg)
            return facts
    every = [AUTO, *(known for facts in CODECS for known in (facts.name, *facts.aliases))]
    names = ", ".join([AUTO, *(facts.name for facts in CODECS)])
    msg = f"encode.codec={name}: unknown codec{nearest(name, every)}; there are: {names}"
    raise ConfigError(msg)


@functools.cache
def _pix_fmts(encoder: str) -> tuple[str, ...]:
    return tuple(video_format.name for video_format in av.Codec(encoder, "w").video_formats or ())


def _is_encoder(name: str) -> bool:
    try:
        av.Codec(name, "w")
    except ValueError:  # PyAV's UnknownCodecError
        return False
    return True
