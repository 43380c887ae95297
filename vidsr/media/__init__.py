"""Video and sound files: what is in them, their frames one by one, and new files made of both.

    probe -> index -> plan          probe.py, index.py, clock.py
    frames by number                decode.py, sample.py, on pictures.py (the one decoder)
    samples, RGB, sizes             frames.py, colour.py, matrix.py, scale.py, on swscale.py
    segments, the output, its check encode.py, mux.py, verify.py and what they stand on

The only package that imports PyAV, decord or the ffmpeg program.
"""
