"""The nine scenarios of enumerate.py. run() asks for things as a client does and notes what was promised; it may be cut off
anywhere by an exception. `arm` starts the counting of calls."""

import time

import scene
from scene import np, ref

RUNNING_MS = 150


class Scenario:
    name, env, args = "", {}, ("--workers.count=1", "--jobs.cancel_grace=1000")

    def __init__(self, bench, tag, arm):
        self.bench, self.tag, self.arm, self.wrong = bench, tag, arm, []
        self.idle = False
        self.client, self.promises = bench.daemon.client, bench.promises

    def submit(self, body):
        uid = self.client.submit(body)
        self.promises.jobs.add(uid)
        return uid

    def end(self, uid):
        job = self.client.wait(uid, 30)
        if job["status"] == "succeeded":
            version = job["result"]["version"]
            self.promises.succeeded.add(uid)
            self.promises.versions.add((version["model"], version["commit"]))
        return job

    def until(self, uid, statuses):
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            status = self.client.job(uid)["status"]
            if status in statuses:
                return status
            time.sleep(0.002)
        return None


class Register(Scenario):
    """New bytes each time: what is in the store already is not moved again."""

    name, shards = "register", 1

    def run(self):
        tensors = {f"t{i}": ref.tensor("F32", np.arange(100) + 10 * self.bench.n + i) for i in range(3)}
        folder = self.bench.place.write(f"{self.tag}-{self.shards}", tensors, shards=self.shards)
        self.arm()
        answer = self.client.register_raw(folder, f"t/{self.tag}")
        if answer.status_code == 201:
            version = answer.json()
            self.promises.versions.add((version["model"], version["commit"]))
        elif answer.status_code == 202:
            self.promises.jobs.add(answer.json()["id"])


class RegisterSharded(Register):
    name, shards = "register sharded", 2


class Submit(Scenario):
    name = "submit"

    def run(self):
        self.arm()
        self.submit(scene.blend(f"t/{self.tag}"))
        if self.idle:  # the writer empties its log when nothing comes for a second
            time.sleep(1.3)


class MergePublish(Scenario):
    name = "merge publish"

    def run(self):
        self.arm()
        self.end(self.submit(scene.blend(f"t/{self.tag}", 2.0 + self.bench.n)))


class EditPublish(Scenario):
    name = "edit publish"

    def run(self):
        self.arm()
        self.end(self.submit(scene.prune(f"t/{self.tag}", sparsity=0.2 + self.bench.n % 1000 / 2000)))


class CancelRunning(Scenario):
    name, env = "cancel running", {"AMEND_FAILPOINT": f"worker.compute:sleep:{RUNNING_MS}"}

    def run(self):
        uid = self.submit(scene.blend(f"t/{self.tag}", 2.0 + self.bench.n))
        self.until(uid, ("running",))
        self.arm()
        if self.client.post(f"/v1/jobs/{uid}/cancel").status_code == 202:
            self.promises.cancelled.add(uid)
        self.end(uid)


class Backup(Scenario):
    name = "backup"

    def run(self):
        self.arm()
        answer = self.client.post("/v1/admin/tasks", {"kind": "backup"})
        if answer.status_code == 202:
            uid = answer.json()["id"]
            self.promises.jobs.add(uid)
            self.client.wait(uid, 30)


class RestartRunning(Scenario):
    name, env = "restart running", {"AMEND_FAILPOINT": f"worker.compute:sleep:{RUNNING_MS}"}

    def run(self):
        uid = self.submit(scene.blend(f"t/{self.tag}", 2.0 + self.bench.n))
        self.until(uid, ("running",))
        d = self.bench.daemon
        d.process.kill()
        d.process.wait()
        d._closed()
        scene.wait_gone(d.data)
        self.arm()
        d.start(timeout=15)
        self.client = d.client
        self.end(uid)


class TwoPublications(Scenario):
    name, args = "two publications", ("--workers.count=2", "--jobs.cancel_grace=1000")

    def run(self):
        self.arm()
        ids = [self.submit(scene.blend(f"t/{self.tag}", 2.0 + self.bench.n + i / 2)) for i in range(2)]
        for uid in ids:
            self.end(uid)


ALL = [
    Register,
    RegisterSharded,
    Submit,
    MergePublish,
    EditPublish,
    CancelRunning,
    Backup,
    RestartRunning,
    TwoPublications,
]
