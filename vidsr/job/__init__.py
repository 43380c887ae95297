"""One job: plan, describe, restore, publish; with a journal, so that it can be stopped and continued."""
