"""What may be set: the sections of a configuration, each key with its range, its default and what it is for.

vidsr/config.py reads them from files, variables and options.
"""

import re
from fractions import Fraction
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema

_RATE = r"^[0-9]{1,7}(/[0-9]{1,7})?$"
_SLOWEST, _FASTEST = Fraction(1, 1000), Fraction(1000)
"""Of numbered pictures. Matroska, which counts in milliseconds, tells no more of them apart."""
_LARGEST_TERM = 1_000_000
"""Of a rate: FFmpeg rounds those with larger ones."""


def _exact_rate(value: object) -> Fraction:
    """Read pictures a second from what YAML holds: 24 is a number there, and 24000/1001 text."""
    is_read = isinstance(value, int | str | Fraction) and re.fullmatch(_RATE, str(value))
    if is_read and not str(value).endswith("/0"):
        rate = Fraction(str(value))
        if _SLOWEST <= rate <= _FASTEST and max(rate.as_integer_ratio()) <= _LARGEST_TERM:
            return rate
    msg = (
        f"wanted a whole number or a fraction, such as 24 or 24000/1001, from {_SLOWEST} to {_FASTEST} and "
        f"with terms up to {_LARGEST_TERM}"
    )
    raise ValueError(msg)


Rate = Annotated[
    Fraction,
    PlainValidator(_exact_rate),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": _RATE}]}),
]
"""Pictures a second, exactly."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlanConfig(_Section):
    """What is restored, how it is divided, and what becomes of the other streams."""

    video_stream: int | None = Field(
        None,
        ge=0,
        description="Index of the stream to restore; null takes the default one, or the largest.",
    )
    frame_rate: Rate | None = Field(
        None,
        description="Of numbered pictures: how many are shown a second, such as 24 or 24000/1001; null is "
        "25. Files have times of their own.",
    )
    on_incompatible: Literal["convert", "mkv", "stop", "drop"] = Field(
        "convert",
        description="For streams that the output's container cannot hold: convert them to the nearest type, "
        "make the output an mkv, stop, or leave them out.",
    )

    part_frames: int = Field(
        64, ge=1, le=4096, description="Frames in a part: the unit of work and of resuming."
    )
    cut_detector: Literal["content", "none"] = Field(
        "content", description="none takes the video as one shot."
    )
    cut_threshold: float = Field(
        27.0, gt=0, le=255, description="Content change that makes a cut; lower finds more."
    )
    deinterlace: Literal["auto", "on", "off"] = Field(
        "auto",
        description="auto filters interlaced and telecined video where the stream's flags and its pictures "
        "agree.",
    )

    @pydantic.field_validator("deinterlace", mode="before")
    @classmethod
    def _yaml_reads_on_and_off_as_booleans(cls, value: object) -> object:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class CaptionConfig(_Section):
    """Who describes the shots."""

    captioner: Literal["measured", "mllm", "file", "none"] = Field(
        "measured",
        description="measured estimates the degradation; mllm asks a language model that sees; file reads "
        "the user's YAML; none says nothing.",
    )
    frames_per_shot: int = Field(
        3,
        ge=1,
        le=64,
        description="Pictures of each shot that the captioner is shown; mllm looks at the sharpest.",
    )
    file: str | None = Field(
        None, description="The YAML with priors; needed by, and only by, the captioner file."
    )
    tags: str | None = Field(
        None,
        description="A classifier of tools/fetch_tag_weights.py, for measured: its tags say what is seen.",
    )
    tags_sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="Of the file of tags: it must have this SHA-256. Filled in where it is left out.",
    )

    model: str = Field(
        "llava-hf/llava-1.5-7b-hf",
        min_length=1,
        description="For mllm: folder or id of an image-text-to-text model of transformers.",
    )
    model_digest: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="Of that model: it must be this one. Filled in where it is left out.",
    )
    low_model: str | None = Field(
        None,
        min_length=1,
        description="For mllm: another model for the low level; null asks the same one.",
    )
    low_model_digest: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="Of the low level's model: it must be this one. Filled in where it is left out.",
    )
    high_question: str = Field(
        "Please provide a descriptive summary of the content of this image.",
        min_length=1,
        description="For mllm: asks what is seen.",
    )
    low_question: str = Field(
        "Please describe the quality of this image and evaluate it based on factors such as clarity, color, "
        "noise, and lighting.",
        min_length=1,
        description="For mllm: asks how it is degraded.",
    )
    max_new_tokens: int = Field(
        180, ge=1, le=4096, description="For mllm: tokens after which an answer is cut off."
    )
    batch_shots: int = Field(4, ge=1, le=256, description="For mllm: shots that are asked about at once.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="For mllm: auto takes CUDA where there is one."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="For mllm: auto takes the half precision that the device is fast in."
    )
    cache: bool = Field(True, description="For mllm: keep what was said for the next run, by content.")
    on_error: Literal["fail", "measured"] = Field(
        "fail",
        description="Where the captioner fails at a shot: fail the job, or have measured describe it.",
    )

    @pydantic.field_validator("low_model_digest")
    @classmethod
    def _digest_goes_with_its_model(cls, digest: str | None, info: pydantic.ValidationInfo) -> str | None:
        if digest is not None and info.data.get("low_model", "") is None:
            msg = "is of the model that caption.low_model names, and there is none"
            raise ValueError(msg)
        return digest

    @pydantic.field_validator("tags")
    @classmethod
    def _tags_go_with_measured(cls, tags: str | None, info: pydantic.ValidationInfo) -> str | None:
        if tags is not None and info.data.get("captioner", "measured") != "measured":
            msg = "tags go with caption.captioner=measured alone; leave them out with caption.tags=null"
            raise ValueError(msg)
        return tags

    @pydantic.field_validator("tags_sha256")
    @classmethod
    def _digest_goes_with_its_file(cls, digest: str | None, info: pydantic.ValidationInfo) -> str | None:
        if digest is not None and info.data.get("tags", "") is None:
            msg = "is of the file that caption.tags names, and there is none"
            raise ValueError(msg)
        return digest


class XpsrConfig(_Section):
    """Where the published model may be run otherwise than restore.mode says; null leaves it to the mode.

    docs/xpsr.md has the values of both modes beside each other.
    """

    weights: str = Field("xpsr", min_length=1, description="Name of the installed weights.")
    solver: Literal["ddpm", "unipc", "dpm"] | None = Field(None, description="Takes the steps; paper: ddpm.")
    spacing: Literal["leading", "trailing"] | None = Field(
        None, description="Where the timesteps lie; paper: leading."
    )
    guidance_interval: tuple[int, int] | None = Field(
        None, description="Timesteps from, up to and without, at which guidance is on; paper: [0, 1000]."
    )
    conditioning_scale: float | None = Field(
        None, ge=0, le=2, description="Of the ControlNet's residuals; paper: 1."
    )
    start: Literal["noise", "lr", "lr-twice"] | None = Field(
        None,
        description="From noise, from the noised low-resolution picture, or from that noised twice; paper: "
        "lr-twice.",
    )
    added_noise_level: int | None = Field(
        None, ge=0, le=999, description="Timestep of the second noise of lr-twice; paper: 800."
    )
    draws_posterior: bool | None = Field(
        None, description="Draw the picture's latents, instead of taking their mean; paper: true."
    )
    tile: int | None = Field(None, ge=8, le=1024, description="Side of a tile in latents; paper: 320.")
    overlap: int | None = Field(None, ge=0, le=512, description="Of tiles, in latents; paper: 8.")
    centred_windows: bool | None = Field(
        None, description="Blend tiles by centred windows, not half a row off; paper: false."
    )
    process_size: int | None = Field(
        None, ge=64, le=2048, description="Smaller pictures are enlarged to this short side; paper: 512."
    )
    fit: Literal["squeeze", "pad"] | None = Field(
        None, description="How sides become multiples of 8; paper: squeeze."
    )
    quantised: bool | None = Field(None, description="Round to 8 bits on the way; paper: true.")
    colour: Literal["none", "adain", "adain-smoothed", "wavelet"] | None = Field(
        None, description="How the colours of the source are kept; paper: adain."
    )
    reserve_added_prompt: bool | None = Field(
        None, description="Shorten a long prior so that the added prompt is read; paper: false."
    )
    min_coverage: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of a tile that must be known from the frame before for a warm start.",
    )
    carried_noise: bool | None = Field(
        None, description="Move the noise along with the picture; paper: false."
    )
    control_every: int | None = Field(
        None, ge=1, le=100, description="Steps that share one answer of the ControlNet; paper: 1."
    )
    max_batch: int | None = Field(
        None, ge=1, le=1024, description="Tiles and guidance halves in one call of the networks."
    )
    compiled: bool | None = Field(None, description="Run the networks through torch.compile.")
    tiny_autoencoder: str | None = Field(
        None,
        min_length=1,
        description="Folder of a tiny autoencoder (TAESD) to take instead of the full one.",
    )


class RestoreConfig(_Section):
    """What restores the frames."""

    restorer: Literal["bicubic", "xpsr-s", "xpsr"] = Field(
        "xpsr-s", description="bicubic scales; xpsr-s is the embedded model; xpsr the published one."
    )
    mode: Literal["video", "paper"] = Field(
        "video", description="Of xpsr: what is recommended for video, or the published sampler."
    )
    scale: Literal[2, 3, 4] = Field(4, description="xpsr-s works at 4; 2 and 3 are averaged down from that.")
    steps: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="Diffusion steps; xpsr-s takes 0 to 4, and 0 is its estimate alone. null is what the "
        "restorer is best at.",
    )
    strength: float | None = Field(
        None,
        ge=0,
        le=1,
        description="xpsr-s: share of the diffused texture. xpsr: share of the steps that a frame takes "
        "which starts warm. null is what the restorer is best at.",
    )
    guidance_scale: float | None = Field(
        None,
        ge=1,
        le=20,
        description="1 is without guidance, and half the cost; null is what the restorer is best at.",
    )
    warm_start: bool | None = Field(
        None,
        description="Start the diffusion of a frame from the frame before; null is what the restorer is "
        "best at.",
    )
    fusion: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Of xpsr-s: share of the frame before in a warm start, steadier and a little softer; "
        "null is what the restorer is best at.",
    )
    xpsr: XpsrConfig = Field(XpsrConfig(), description="What xpsr alone has.")
    batch_parts: int = Field(1, ge=1, le=64, description="Parts that are restored side by side in one batch.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes CUDA where there is one.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="auto takes bfloat16 on CUDA and on CPUs with bfloat16 instructions; float16 is for "
        "xpsr on CUDA.",
    )


class EncodeConfig(_Section):
    """How the result is written."""

    codec: str = Field(
        "auto",
        description="auto, h264, hevc, av1, vp9, ffv1 or prores. auto is h264, and where that would lose "
        "bits, transparency or HDR, the first of hevc, prores, vp9, av1 and ffv1 that does not.",
    )
    hdr: Literal["keep", "tonemap"] = Field(
        "keep", description="tonemap turns HDR into BT.709 SDR before it is restored."
    )
    preset: str = Field("medium", description="The encoder's own name for its speed.")
    crf: float = Field(18, ge=0, le=63, description="Constant quality; lower is better and larger.")
    threads: int = Field(4, ge=1, le=64, description="Fixed, because the encoder's output depends on it.")


class LimitsConfig(_Section):
    """What an input may ask of this machine before it is refused; nothing that comes out depends on it."""

    max_pixels: int = Field(2**26, ge=1, description="Of one picture; 2^26 is 8192 x 8192.")
    max_streams: int = Field(500, ge=1, le=1000, description="In the file. FFmpeg opens 1000.")
    max_chapters: int = Field(10_000, ge=0, description="In the file.")
    max_tag_bytes: int = Field(2**24, ge=0, description="Of all titles, comments and other tags together.")
    open_memory_bytes: int = Field(2**31, ge=2**28, description="Address space to open the file in.")
    open_seconds: int = Field(60, ge=1, description="Processor time to open the file in.")


class RunConfig(_Section):
    """How a run behaves; nothing of it changes what comes out."""

    stall_seconds: float = Field(
        7200,
        ge=0,
        description="A stage in which nothing moves for so long is given up; 0 waits forever. A large model "
        "on a CPU can take minutes for a single frame.",
    )


class JobConfig(_Section):
    """One resolved configuration."""

    plan: PlanConfig = PlanConfig()
    caption: CaptionConfig = CaptionConfig()
    restore: RestoreConfig = RestoreConfig()
    encode: EncodeConfig = EncodeConfig()
    limits: LimitsConfig = LimitsConfig()
    run: RunConfig = RunConfig()
    seed: int = Field(0, ge=0, lt=2**63, description="Of all noise.")

    @pydantic.model_validator(mode="after")
    def _file_goes_with_its_captioner(self) -> Self:
        if (self.caption.captioner == "file") != (self.caption.file is not None):
            msg = "caption.file names the priors for caption.captioner=file, and goes with no other captioner"
            raise ValueError(msg)
        return self

    def plain(self) -> dict[str, Any]:
        """Return the configuration as JSON-able data, the same for equal configurations."""
        return self.model_dump(mode="json")


class PipelineFile(_Section):
    """The content of a pipeline's YAML."""

    description: str = Field(description="One sentence for `vidsr config show`.")
    stages: list[dict[Literal["caption", "restore", "encode"], str]] = Field(
        description="One mapping a stage, in order: the stage's name to the name of its preset."
    )
    set: dict[str, Any] = Field(
        default_factory=dict, description="Further keys, as in --set: restore.scale: 2."
    )
