"""The worker: one job at a time, safe to call again, and a result that says what to do with the job.

from vidsr.ingest import Job, process

result = process(Job(input="in.mp4", output="out.mp4"))
if result.outcome.may_retry:
    ...
"""

from vidsr.ingest.job import Job
from vidsr.ingest.result import Outcome, Result
from vidsr.ingest.worker import process

__all__ = ["Job", "Outcome", "Result", "process"]
