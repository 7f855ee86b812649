#!/usr/bin/env python3
"""pipeline.py JOB.json ALIAS CHECK [ARGUMENT...] - submit a job, check its result, move ALIAS to it, check again.

CHECK is your program: it gets a version as its last argument, such as acme/m@4be1... and after the move acme/m@prod, and
exits with 0 when it is good. When it is not good after the move, ALIAS is rolled back.
RUN_ID (the CI's number of this run; today's date without it) names the run: the same run again makes no second job.
Exit codes: 0 done, 1 refused, 2 usage, 3 job failed, 4 check failed, 7 ALIAS was moved by somebody else, 8 amendd not reached.
"""
import hashlib, json, os, subprocess, sys, time
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

def call(method, path, body=None, **headers):
    url = os.environ.get("AMEND_ENDPOINT", "http://127.0.0.1:8420") + path
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json", **headers}, method=method)
    with urlopen(request, timeout=90) as answer:
        return json.load(answer)

def main(file, alias, *check):
    text = open(file, "rb").read()
    key = hashlib.sha256(text + os.environ.get("RUN_ID", time.strftime("%F")).encode()).hexdigest()
    job = call("POST", "/v1/jobs", json.loads(text), **{"Idempotency-Key": key})
    while job["status"] not in ("succeeded", "failed", "cancelled"):  # the answer comes at the end, or after a minute
        job = call("GET", "/v1/jobs/" + job["id"], Prefer="wait=60")
    if job["status"] != "succeeded":
        return 3, job["error"] and job["error"]["detail"]
    model, commit = job["result"]["version"]["model"], job["result"]["version"]["commit"]
    if subprocess.run([*check, f"{model}@{commit}"]).returncode != 0:
        return 4, f"{model}@{commit} did not pass; {alias} stays where it is"
    refs = {ref["name"]: ref for ref in call("GET", f"/v1/models/{model}/refs?kind=alias&limit=100")["data"]}
    before = refs[alias]["commit"] if alias in refs else None
    call("PUT", f"/v1/models/{model}/refs/{alias}", {"to": commit, "from": before, "reason": job["id"]})
    if before and subprocess.run([*check, f"{model}@{alias}"]).returncode != 0:
        call("POST", f"/v1/models/{model}/refs/{alias}/rollback", {"from": commit, "reason": "check failed"})
        return 4, f"{alias} is back at {before}"
    return 0, f"{alias} is {model}@{commit}"

if len(sys.argv) < 4:
    print(__doc__)
    sys.exit(2)
try:
    code, message = main(*sys.argv[1:])
except HTTPError as error:
    code, message = 7 if error.code in (409, 412) else 1, error.read().decode()
except URLError as error:
    code, message = 8, f"amendd is not reached: {error.reason}"
print(message)
sys.exit(code)
