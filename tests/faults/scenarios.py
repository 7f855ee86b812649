"""The scenarios of enumerate.py. run() asks for things as a client does and notes what was promised; it may be cut off
anywhere by an exception. `arm` starts the counting of calls."""

import json
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

    @classmethod
    def arguments(cls, place):
        return cls.args

    @staticmethod
    def prepare(bench):
        """What must be there before the first fault, beside t/a and t/b."""

    def left(self):
        """What is wrong in the world outside the data folder; no daemon runs."""
        return []

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


class MoveRef(Scenario):
    """An alias made, moved, gone back and deleted; another one stays."""

    name = "move ref"

    @staticmethod
    def prepare(bench):
        for name in ("a", "b"):
            bench.daemon.client.register(bench.place.models / name, "t/r")

    def step(self, name, method, end="", match="*", **body):
        headers = {"If-Match": match} if match else {"If-None-Match": "*"}
        sent = {"params" if method == "DELETE" else "json": {"reason": "fault", **body}}
        answer = self.client.request(method, f"/v1/models/t/r/refs/{name}{end}", headers=headers, **sent)
        assert answer.status_code in (200, 201), answer.text
        doc = answer.json()
        deleted = method == "DELETE"
        self.promises.moves.add(("t/r", name, doc["revision"] + deleted, None if deleted else doc["commit"]))

    def run(self):
        stays, goes = self.tag, self.tag + "-x"
        self.arm()
        self.step(stays, "PUT", match=None, to="v1")
        self.step(goes, "PUT", match=None, to="v2")
        self.step(stays, "PUT", to="v2")
        self.step(stays, "POST", "/rollback", steps=1)
        self.step(goes, "DELETE")


class DeletePurge(Scenario):
    """A version is deleted, restored and purged; the one that was made of it reads its bytes to the end."""

    name = "delete and purge"

    def life(self, version, method, end="", **query):
        path = self.client.at("@".join(version)) + end
        match = {} if end else {"If-Match": self.client.get(path).headers["ETag"]}
        return self.client.request(method, path, params=query, headers=match)

    def run(self):
        p, model = self.promises, f"t/{self.tag}"
        rng = np.random.default_rng(self.bench.n)
        tensors = {f"l{i}.weight": ref.tensor("F32", rng.standard_normal(2000)) for i in range(4)}
        self.secret = tensors["l1.weight"].data
        self.purged = False
        first = (model, self.client.register(self.bench.place.write(self.tag, tensors), model)["commit"])
        p.versions.add(first)
        self.end(self.submit(scene.prune(model, model, 0.9, include=["l1.weight"])))
        self.arm()
        if self.life(first, "DELETE").status_code != 200:
            return
        if self.life(first, "POST", "/restore").status_code != 200:
            return
        answer = self.life(first, "DELETE", purge="true")
        if answer.status_code != 202:
            return
        p.deleted.add(first)
        uid = answer.json()["id"]
        p.jobs.add(uid)
        if self.client.wait(uid, 30)["status"] == "succeeded":
            p.succeeded.add(uid)
            p.purged.add(first)
            self.purged = True

    def left(self):
        if not getattr(self, "purged", False):
            return []
        blobs = self.bench.daemon.data / "blobs"
        return [f"purged bytes are in blob {f.name}" for f in blobs.rglob("*") if f.is_file() and self.secret in f.read_bytes()]


class Export(Scenario):
    """A folder is written, then another version in its place: what has the name is one of them, whole."""

    name = "export"

    @classmethod
    def arguments(cls, place):
        (place.path / "out").mkdir(exist_ok=True)
        return (*cls.args, f"--store.export_roots={place.path / 'out'}")

    def run(self):
        self.target, self.told, self.there = self.bench.place.path / "out" / self.tag, None, False
        self.arm()
        for model in ("t/a", "t/b"):
            self.told = None  # from here on either may be there
            answer = self.client.post(self.client.at(model) + "/export", {"path": str(self.target), "overwrite": True})
            assert answer.status_code == 202, answer.text
            uid = answer.json()["id"]
            self.promises.jobs.add(uid)
            if self.client.wait(uid, 30)["status"] == "succeeded":
                self.promises.succeeded.add(uid)
                self.told, self.there = model, True

    def left(self):
        target = getattr(self, "target", None)
        if not target:
            return []
        if not target.exists():
            return ["an export that was told is not there"] if self.there else []
        try:
            model = json.loads((target / ".amend-export.json").read_text())["model"]
        except (OSError, ValueError) as e:
            return [f"an export without its note: {e}"]
        want = {p.name: p.read_bytes() for p in (self.bench.place.models / model[2:]).iterdir()}
        have = {p.name: p.read_bytes() for p in target.iterdir() if p.name != ".amend-export.json"}
        wrong = [] if have == want else [f"an export of {model} is not whole: {sorted(have)} for {sorted(want)}"]
        return wrong + ([f"the export of {self.told} was told, and {model} is there"] if self.told not in (None, model) else [])


class Graph(Scenario):
    """A job that waits for another one, its rerun, and the same once more, which is answered without a worker."""

    name = "graph and rerun"

    def run(self):
        self.arm()
        into, weight = f"t/{self.tag}", 2.0 + self.bench.n
        first = self.submit(scene.blend(into, weight, reuse=True))
        second = self.submit(scene.blend(into, weight, models=({"job": first}, "t/b")))
        for uid in (first, second):
            self.end(uid)
        answer = self.client.post(f"/v1/jobs/{first}/rerun")
        if answer.status_code == 202:
            self.promises.jobs.add(answer.json()["id"])
            job = self.client.wait(answer.json()["id"], 30)
            if job["status"] == "succeeded" and job["result"]["reproduced"] is not True:
                self.wrong.append(f"a rerun did not reproduce: {job['result']}")
        self.end(self.submit(scene.blend(into, weight, reuse=True)))


class GatedMerge(Scenario):
    """Version, report, decision and refs are one transaction. The weights are those of `trial`, of which there are predictions."""

    name = "gated merge"

    @staticmethod
    def prepare(bench):
        c = bench.daemon.client
        c.run(scene.blend("t/trial", 2.0))
        for version in ("t/a@main", "t/trial@main"):
            head = {"schema": "amend.preds/1", "version": version, "dataset": {"external": "d"}, "task": "classification", "n": 600}
            rows = [head, *({"id": f"s{i}", "y": 0, "p": int(i < 30)} for i in range(600))]
            answer = c.request("POST", "/v1/predictions", data="".join(json.dumps(r) + "\n" for r in rows),
                               headers={"Content-Type": "application/x-ndjson", "Prefer": "wait=20"})  # fmt: skip
            assert answer.status_code == 201, answer.text

    def run(self):
        sets = [p["id"] for p in self.client.all("/v1/predictions")]  # newest first
        body = scene.blend(f"t/{self.tag}", 2.0) | {"gate": {"policy": "default", "new_predictions": sets[0], "old_predictions": sets[1]}}
        body["publish"]["move"] = [{"ref": "prod"}]
        self.arm()
        job = self.end(self.submit(body))
        if job["status"] == "succeeded":
            result = job["result"]
            refs = {r["name"]: r["commit"] for r in self.client.ok(f"/v1/models/t/{self.tag}/refs")["data"]}
            if result["decision"]["verdict"] != "promote" or set(refs.values()) != {result["version"]["commit"]} or "prod" not in refs:
                self.wrong.append(f"not all of a promotion: {result}, {refs}")


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
    MoveRef,
    DeletePurge,
    Export,
    Graph,
    GatedMerge,
]
