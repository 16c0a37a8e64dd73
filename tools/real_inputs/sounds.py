"""Real inputs for models of sound: 30 seconds of a telephone call at 16 kHz, and a synthetic chord."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._case import Feeds, Outputs, RealModel, real_input

if TYPE_CHECKING:
    from pathlib import Path

Sound = NDArray[np.float32]
RATE = 16000
SPEAKING = 173_000  # sample at which a longer turn starts
PIECE = 707  # a loud vowel: number of a piece of 512 samples


def speech(path: Path) -> Sound:
    """Read the recording, values -1 to 1."""
    with wave.open(str(path.with_name("speech.wav"))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return np.asarray(samples / 32768, np.float32)


def frames(sound: Sound, length: int, hop: int) -> Sound:
    """Cut a sound into overlapping frames, (number, length)."""
    return np.lib.stride_tricks.sliding_window_view(sound, length)[::hop]


def log_mel(sound: Sound, rate: int, n_fft: int, hop: int, bands: int) -> Sound:
    """Return (frames, bands): decibels below the loudest, at most 80, scaled by (dB + 40) / 40.

    The filters are triangles of equal area on Slaney's mel scale: linear up to 1000 Hz, logarithmic above.
    """
    from scipy.signal import get_window

    padded = np.pad(sound, n_fft // 2)
    power = np.abs(np.fft.rfft(frames(padded, n_fft, hop) * get_window("hann", n_fft))) ** 2
    step = np.log(6.4) / 27
    top = 15 + np.log(rate / 2 / 1000) / step
    mels = np.linspace(0, top, bands + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (mels - 15)))
    ramps = edges[:, None] - np.fft.rfftfreq(n_fft, 1 / rate)
    gaps = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-ramps[:-2] / gaps[:-1], ramps[2:] / gaps[1:]))
    triangles *= 2 / (edges[2:] - edges[:-2])[:, None]
    energy = np.maximum(power @ triangles.T, 1e-10)
    decibels = 10 * np.log10(energy / energy.max())
    scaled: Sound = ((np.maximum(decibels, -80) + 40) / 40).astype(np.float32)
    return scaled


def _voice(path: Path) -> Sound:
    """Return (pieces, 576): 512 samples each, after the last 64 samples of the piece before."""
    return frames(speech(path), 576, 512)


def _silero(path: Path, feeds: Feeds) -> RealModel:
    return RealModel(
        feeds,
        output="output",
        target=(0, 0),
        expected=0.91,
        tolerance=0.07,
        says="36 ms of a telephone call, the state empty: speech",
    )


@real_input("silero", "silero_op15", "silero_ifless")
def silero(path: Path) -> RealModel:
    """Make 576 samples of speech, an empty state, and the sampling rate."""
    return _silero(
        path,
        {
            "input": _voice(path)[PIECE : PIECE + 1].copy(),
            "state": np.zeros((2, 1, 128), np.float32),
            "sr": np.array(RATE, np.int64),
        },
    )


@real_input("silero_half", "silero_openvino")
def silero_without_rate(path: Path) -> RealModel:
    """Make 576 samples of speech and an empty state."""
    sound = _voice(path)[PIECE : PIECE + 1].copy()
    return _silero(path, {"input": sound, "state": np.zeros((2, 1, 128), np.float32)})


@real_input("silero_sequence")
def silero_sequence(path: Path) -> RealModel:
    """Make 60 pieces of speech, the steps of one sequence, and an empty state."""
    state = np.zeros((1, 1, 128), np.float32)
    return RealModel(
        {"input": _voice(path)[PIECE - 59 : PIECE + 1].copy(), "h": state, "c": state.copy()},
        output="speech_probs",
        target=(59,),
        expected=1.0,
        says="two seconds of a telephone call: speech in the last 32 ms",
    )


def _power(sound: Sound, window: int, hop: int, n_fft: int) -> NDArray[np.float64]:
    """Return the power spectrum, (frames, n_fft / 2 + 1), under the root of a Hann window."""
    spectrum = np.fft.rfft(frames(sound, window, hop) * np.sqrt(np.hanning(window)), n_fft)
    power: NDArray[np.float64] = np.abs(spectrum) ** 2
    return power


@real_input("nsnet2_16k", "nsnet2_48k")
def nsnet2(path: Path) -> RealModel:
    """Make three seconds of noisy speech; the model answers with a gain per frame and band, 0 to 1."""
    from scipy.signal import resample_poly

    clean = speech(path)[SPEAKING : SPEAKING + 3 * RATE]
    noise = np.random.default_rng(0).normal(0, 0.02, clean.size).astype(np.float32)
    window, hop, n_fft = 320, 160, 320
    if path.stem == "nsnet2_48k":
        clean, noise = (resample_poly(sound, 3, 1).astype(np.float32) for sound in (clean, noise))
        window, hop, n_fft = 960, 512, 1024
    signal, hiss, both = (_power(sound, window, hop, n_fft) for sound in (clean, noise, clean + noise))

    def decibels(outputs: Outputs) -> float:
        power = outputs["output"][0].astype(float) ** 2
        gained = (power * signal).sum() / (power * hiss).sum() / (signal.sum() / hiss.sum())
        return float(10 * np.log10(gained))

    peak = np.unravel_index(both.argmax(), both.shape)
    return RealModel(
        {"input": np.log10(np.maximum(both, 1e-12)).astype(np.float32)[None]},
        output="output",
        target=(0, int(peak[0]), int(peak[1])),
        expected=14.0,
        tolerance=1.5,
        says="speech under white noise: the ratio of signal to noise gets better, in decibels",
        read=decibels,
    )


def nine_seconds(path: Path) -> Sound:
    """Return 9.01 seconds of the call, 144160 samples."""
    start = int(10.6 * RATE)
    return speech(path)[start : start + int(9.01 * RATE)]


def _quality(feeds: Feeds, output: str, target: tuple[int, ...], expected: float, what: str) -> RealModel:
    says = f"a telephone call: {what}, about {expected:.1f} of 5 (less when noise is added)"
    return RealModel(feeds, output, target, expected, says, tolerance=0.1)


@real_input("dnsmos", "dnsmos_personal")
def dnsmos(path: Path) -> RealModel:
    """Make the waveform; the model answers with signal, background and overall quality."""
    expected = 2.35 if path.stem == "dnsmos_personal" else 2.97
    return _quality({"input_1": nine_seconds(path)[None]}, "Identity:0", (0, 2), expected, "overall quality")


@real_input("dnsmos_p808")
def dnsmos_p808(path: Path) -> RealModel:
    """Make 900 frames of 120 mel bands."""
    mel = log_mel(nine_seconds(path)[:-160], RATE, 321, 160, 120)
    return _quality({"input_1": mel[None]}, "Identity:0", (0, 0), 3.27, "quality")


def _spectrum(path: Path) -> Sound:
    """Return log10 of the power spectrum, (901, 161)."""
    from scipy.signal import get_window

    padded = np.pad(nine_seconds(path)[: 9 * RATE], 160)
    power = np.abs(np.fft.rfft(frames(padded, 320, 160) * get_window("hann", 320))) ** 2
    spectrum: Sound = np.log10(np.maximum(power, 1e-12)).astype(np.float32)
    return spectrum


@real_input("dnsmos_sig")
def dnsmos_sig(path: Path) -> RealModel:
    """Make 901 frames of 161 bands."""
    return _quality({"input_1": _spectrum(path)[None]}, "Identity:0", (0, 0), 3.56, "quality of the signal")


@real_input("dnsmos_bak_ovr")
def dnsmos_bak_ovr(path: Path) -> RealModel:
    """Make 901 frames of 161 bands; the last of the three scores is the overall one."""
    return _quality({"input_1": _spectrum(path)[None]}, "Identity:0", (0, 2), 3.37, "overall quality")


@real_input("plcmos")
def plcmos(path: Path) -> RealModel:
    """Make the log power of four seconds, and the made-up taste of one rater; the output is a scalar."""
    sound = nine_seconds(path)[: 4 * RATE]
    padded = np.pad(sound, (256, 256))
    power = np.abs(np.fft.rfft(frames(padded, 512, 256) * np.hamming(513)[:-1])) ** 2
    feeds = {
        "degraded_audio": (np.log(np.maximum(power, 1e-12)) / 20).astype(np.float32)[None, None],
        "rater_embed": np.random.default_rng(0).normal(size=(1, 64)).astype(np.float32),
    }
    return _quality(feeds, "plcmos", (), 3.68, "quality after lost packets")


@real_input("aecmos_16k", "aecmos_16k_free", "aecmos_48k")
def aecmos(path: Path) -> RealModel:
    """Make a call with an echo taken out: far end, microphone, cleaned sound, 160 mel bands each."""
    from scipy.signal import resample_poly

    start, size = SPEAKING, 3 * RATE
    near, far = speech(path)[start : start + size], speech(path)[start + size : start + 2 * size]
    sounds = [far, near + 0.3 * np.roll(far, 800), near]
    rate, n_fft = RATE, 512
    if path.stem == "aecmos_48k":
        sounds = [resample_poly(sound, 3, 1) for sound in sounds]
        rate, n_fft = 48000, 1536
    features = np.stack([log_mel(sound, rate, n_fft + 1, n_fft // 2, 160) for sound in sounds])
    if path.stem != "aecmos_16k_free":  # both ends speak: twenty frames of ones, twenty of zeros
        marker = np.concatenate([np.ones((3, 20, 160)), np.zeros((3, 20, 160))], axis=1)
        features = np.concatenate([features, marker], axis=1)
    hidden = np.zeros((4, 1, 96 if path.stem == "aecmos_48k" else 64), np.float32)
    feeds = {"input": features[None].astype(np.float32), "h0": hidden}
    expected = {"aecmos_16k": 4.29, "aecmos_16k_free": 3.98, "aecmos_48k": 3.94}[path.stem]
    return _quality(feeds, "output", (0,), expected, "freedom from echo")


@real_input("basic_pitch")
def basic_pitch(path: Path) -> RealModel:
    """Make two seconds at 22050 Hz: a decaying A4 with seven overtones."""
    time = np.arange(43844) / 22050
    overtones = sum(np.sin(2 * np.pi * 440 * k * time) / k**1.5 for k in range(1, 9))
    note = 0.3 * np.exp(-1.5 * time) * overtones

    def found(outputs: Outputs) -> str:
        strength = outputs["StatefulPartitionedCall:1"][0, 20:100].mean(0)
        return " ".join(str(key + 21) for key in np.flatnonzero(strength > 0.5))

    return RealModel(
        {"serving_default_input_2:0": note.astype(np.float32)[None, :, None]},
        output="StatefulPartitionedCall:1",
        target=(0, 40, 48),
        expected="69",
        top=True,
        says="a synthetic A4: the key 69 and no other",
        read=found,
    )
