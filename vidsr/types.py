"""The values that flow from one stage to the next.

All are frozen and keyword-only. Those that hold arrays compare by identity and print shapes, not
pixels. Nothing here imports a codec, torch or the configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

UNSPECIFIED = 2
"""H.273's code point for "not stated", the same in its three tables."""

StreamKind = Literal["video", "audio", "subtitle", "attachment", "data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """How sample values become light: code points of ITU-T H.273 (FFmpeg uses the same numbers)."""

    matrix: int = UNSPECIFIED
    """1 BT.709, 5 and 6 BT.601, 9 BT.2020, 0 RGB, 2 not stated."""
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    """1 BT.709, 16 PQ, 18 HLG, 2 not stated."""
    full_range: bool | None = None
    """True for 0..255, False for 16..235, None where the source does not say."""
    chroma_location: int = 0
    """0 not stated, 1 left, 2 centre, 3 top left."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One picture of the video in the sample format it was stored in.

    Plain data: it can be pickled, and it holds no decoder buffer.
    """

    planes: tuple[NDArray[Any], ...]
    """The planes as FFmpeg lays out `pix_fmt`, without row padding, each uint8 or uint16 (native endian),
    or float32: [rows, columns] for planar formats, [rows, columns, components] for packed ones."""
    pix_fmt: str
    """FFmpeg's name, such as yuv420p10le."""
    width: int
    height: int
    """Of the stored picture: before rotation and before the sample aspect ratio."""
    colour: Colour
    index: int
    """Position in the frame table of the plan."""
    pts: int
    """Sanitised presentation time in ticks of `time_base`."""
    time_base: Fraction
    """Seconds per tick."""

    def __repr__(self) -> str:
        """Say what the frame is without printing its samples."""
        return f"Frame(index={self.index}, pts={self.pts}, {self.pix_fmt} {self.width}x{self.height})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """Frames between two cuts, [start, stop). The shots of a plan tile the video."""

    index: int
    start: int
    stop: int

    def __post_init__(self) -> None:
        """Refuse a shot without frames."""
        if not 0 <= self.start < self.stop:
            msg = f"shot {self.index}: start {self.start} must be before stop {self.stop} and not negative"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is known about a shot in words. A user may edit it and run again."""

    high_level: str = ""
    """What is seen."""
    low_level: str = ""
    """How it is degraded: "moderate noise, strong blur, light compression blocks"."""
    captioner: str = "none"
    """Which captioner said so, with its version: "measured/1"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShotSettings:
    """What is asked for one shot alone. None: as for the whole video."""

    strength: float | None = None
    """As restore.strength, [0, 1]."""
    guidance_scale: float | None = None
    """As restore.guidance_scale, from 1."""
    restorer: str | None = None
    """Name of the restorer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadIn:
    """Frames that a part restores before its own, so that its first one starts as warm as the others."""

    frames: int = 0
    fade: int = 0
    """The last so many of them are blended into the part before; the others are dropped."""

    def __post_init__(self) -> None:
        """Refuse a fade that is longer than the lead-in."""
        if not 0 <= self.fade <= self.frames:
            msg = f"a lead-in of {self.frames} frames has no {self.fade} frames to fade in"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fade:
    """The end of a part, where what the next part's lead-in makes of the same frames fades in."""

    lead_in: int
    """First frame of the next part's lead-in."""
    start: int
    stop: int
    """Frames [start, stop) are blended; stop is the next part's own first frame."""

    def share(self, index: int) -> float:
        """Return the next part's share of frame `index`: 0 before the fade, then rising evenly, below 1."""
        return max(0, index - self.start + 1) / (self.stop - self.start + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A run of frames inside one shot: the unit of work, of resuming and of distribution."""

    index: int
    shot_index: int
    lead_in: int
    """First frame that is decoded and restored, so that the part starts warm; dropped before `start`."""
    start: int
    stop: int
    """[start, stop) are the frames that the part delivers."""
    fade: Fade | None = None
    """How the part ends where another one of its shot follows that fades in."""


class Carry:
    """What one frame hands to the next inside a part. Each restorer has its own subclass, or none."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """One entry of a batched restoring step: the next frame of one open part."""

    part_index: int
    frame: Frame
    prior: Prior
    carry: Carry | None
    """None at the first frame of a part's lead-in, and only there."""
    seed: int
    """Of the part, derived from (job seed, first frame of the lead-in)."""
    settings: ShotSettings = ShotSettings()
    """Of the frame's shot; what it leaves open is as the restorer was made."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Done:
    """The restored frame and what the part's next frame receives."""

    frame: Frame
    carry: Carry | None
    steps: int = 0
    """Denoising steps that the frame took."""
    notes: tuple[str, ...] = ()
    """What the user must know of it: "frame 12: out of memory, went on with tiles of 64"."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameTable:
    """The index of the input: one row a frame, as columns of 25 bytes a frame together."""

    pts: NDArray[np.int64]
    """Sanitised: strictly increasing, in ticks of the video stream's time base. [n]"""
    source_pts: NDArray[np.int64]
    """As decoded; `NO_PTS` where the frame had none. [n]"""
    duration: NDArray[np.int32]
    """Ticks until the frame is replaced. [n]"""
    luma_crc: NDArray[np.uint32]
    """CRC-32 of the decoded first plane. [n]"""
    flags: NDArray[np.uint8]
    """Sum of KEY and CORRUPT. [n]"""

    KEY = 1
    CORRUPT = 2

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.pts)

    def __repr__(self) -> str:
        """Say how many frames there are without listing them."""
        return f"FrameTable({len(self)} frames)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """A place where the source's clock starts anew: two recordings one after the other."""

    frame: int
    """The first frame behind it."""
    shift: Fraction
    """Seconds that bring every stream's times behind it onto the clock that the video began with."""


NO_PTS = -(2**63)
"""In `FrameTable.source_pts`: the frame came without a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """One stream of a file as its header describes it."""

    index: int
    kind: StreamKind
    codec: str
    """FFmpeg's codec name, or "unknown"."""
    time_base: Fraction
    language: str = ""
    title: str = ""
    dispositions: tuple[str, ...] = ()
    """Names in FFmpeg's spelling, sorted: ("default", "forced")."""
    is_cover: bool = False
    """A video stream that is a picture attached to the file."""
    start_pts_from_header: int | None = None
    duration_from_header: int | None = None
    """In ticks of `time_base`."""
    num_frames_from_header: int = 0
    """0 where the header does not say. Frames that an edit list hides are counted too."""
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ContentLight:
    """How bright HDR content gets, in candelas a square metre (CTA-861.3)."""

    max_content: int
    """Of its brightest sample."""
    max_average: int
    """Mean of its brightest frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasteringDisplay:
    """The display that HDR content was mastered on (SMPTE ST 2086)."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    """Each (x, y) of CIE 1931."""
    min_luminance: Fraction
    max_luminance: Fraction
    """In candelas a square metre."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HdrMetadata:
    """What HDR video states of its content."""

    mastering: MasteringDisplay | None = None
    light: ContentLight | None = None
    dynamic: tuple[str, ...] = ()
    """Kinds of metadata that single frames have, such as HDR10+."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """The picture of the stream that is restored."""

    stream_index: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    bit_depth: int
    colour: Colour
    sample_aspect_ratio: Fraction
    """1 where the source does not say."""
    display_matrix: tuple[int, ...] | None
    """Nine 16.16 fixed-point numbers as FFmpeg stores them, None where there is none."""
    time_base: Fraction
    average_rate_from_header: Fraction | None
    """Only for display, and to rebuild times where the source has none."""
    hdr: HdrMetadata | None = None
    """None where its first picture states none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What the header of a file says."""

    path: str
    container: str
    """FFmpeg's demuxer name, such as "mov,mp4,m4a,3gp,3g2,mj2"."""
    streams: tuple[StreamInfo, ...]
    video: VideoInfo
    duration_seconds_from_header: float | None
    num_chapters: int
    is_still: bool = False
    """A picture file with one picture in it."""
    frame_rate: Fraction | None = None
    """Numbered pictures that are shown a second; None for a file, which has its own times."""
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """What happens to one stream of the source."""

    source_index: int
    kind: StreamKind
    codec: str
    action: Literal["restore", "copy", "convert", "drop"]
    reason: str
    """Why it is dropped or converted; empty otherwise."""
    target: str = ""
    """FFmpeg's name of the codec that it is converted to; empty where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlan:
    """What the output file will be, decided before any frame is restored."""

    container: str
    """FFmpeg's muxer name: "mp4", "matroska", "mov"."""
    codec: str
    """FFmpeg's encoder name, such as libx264."""
    pix_fmt: str
    width: int
    height: int
    colour: Colour
    sample_aspect_ratio: Fraction
    display_matrix: tuple[int, ...] | None
    offset: Fraction
    """Seconds added to every stream; 0 unless the source starts below zero and the container forbids it."""
    hdr: HdrMetadata | None = None
    """What it states of its content, as far as its codec can."""
    frame_rate: Fraction = Fraction(25)
    """Mean frames per second, told to the encoder for its rate control and level. No time is made from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputIdentity:
    """Which bytes a plan was made for."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Everything decided about a job before a frame is restored. It is written as JSON (job/plan_file.py)."""

    input: InputIdentity
    info: MediaInfo
    frames: FrameTable
    shots: Sequence[Shot]
    streams: Sequence[StreamPlan]
    output: OutputPlan
    config: dict[str, Any]
    """The resolved configuration as plain data: what executors receive."""
    weights: str
    """Digest of the restorer's weights, or "none"."""
    seed: int
    versions: dict[str, str]
    """vidsr, PyAV and FFmpeg that made the plan: decoding must be repeated by the same ones."""
    decode_errors: int = 0
    """Packets the decoder refused during the index pass."""
    losses: Sequence[str] = field(default_factory=tuple)
    """One line for each kind of thing that is damaged or missing in the source."""
    splices: Sequence[Splice] = field(default_factory=tuple)
    """In the order of their frames. What the video is moved by, all other streams are moved by too."""
    repairs: Sequence[str] = field(default_factory=tuple)
    """One line for each thing mended in the timeline."""
    filtered: MediaInfo | None = None
    """The file that the pictures are restored from where they had to be filtered first, in the work folder;
    `frames` are its frames. None: the input itself."""
    warnings: Sequence[str] = field(default_factory=tuple)

    @property
    def is_damaged(self) -> bool:
        """True where something of the source could not be decoded."""
        return bool(self.losses)
