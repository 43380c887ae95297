"""The published model as a restorer of video frames."""
