"""Idempotency-Key: the same request again changes nothing and gets the same answer, also after a restart; another one
with the same key is refused; a second one while the first is at work is told so."""

import sqlite3
import threading

import numpy as np
import pytest

import harness
import reference as ref
from harness import merge, problem


@pytest.fixture(scope="module")
def models(client, roots):
    for name in ("a", "b"):
        client.register(ref.write(roots / name, {"w": ref.tensor("F32", np.arange(8.0))}), f"i/{name}")
    return client


def body(weight=1.0, into="i/out", **more):
    return {**merge("linear", [("i/a", {"weight": weight}), ("i/b", {"weight": 2.0})], into), **more}


def post(client, path, doc, key):
    return client.post(path, doc, headers={"Idempotency-Key": key})


def jobs(client):
    return len(client.all("/v1/jobs?limit=100"))


def replayed(answer):
    return answer.headers.get("Idempotency-Replayed") == "true"


def test_the_same_again(models):
    before = jobs(models)
    first = post(models, "/v1/jobs", body(), "again")
    assert first.status_code == 202 and not replayed(first)
    job = first.json()
    models.wait(job["id"])
    for key in ("again", '"again"'):  # bare and quoted are one key
        second = post(models, "/v1/jobs", body(), key)
        assert second.status_code == 202 and replayed(second)
        assert second.json() == job and second.json()["status"] == "queued"  # as it was then
        assert second.headers["Location"] == first.headers["Location"] and second.headers["Retry-After"].isdigit()
        assert models.ok(second.headers["Location"])["status"] == "succeeded"  # Location leads to the present
    assert jobs(models) == before + 1


def test_order_and_spaces_of_the_body_do_not_matter(models):
    one = post(models, "/v1/jobs", body(), "canonical")
    raw = dict(reversed(list(body().items())))
    two = post(models, "/v1/jobs", raw, "canonical")
    assert replayed(two) and two.json()["id"] == one.json()["id"]


def test_another_request_with_the_key_is_refused(models):
    before = jobs(models)
    assert post(models, "/v1/jobs", body(), "taken").status_code == 202
    problem(post(models, "/v1/jobs", body(weight=3.0), "taken"), 422, "idempotency-key-reused")
    problem(post(models, "/v1/models", {"id": "i/new"}, "taken"), 422, "idempotency-key-reused")
    assert jobs(models) == before + 1
    assert models.get("/v1/models/i/new").status_code == 404


def test_client_token_is_the_key_of_those_without_headers(models):
    doc = body(client_token="token")
    first, second = models.post("/v1/jobs", doc), models.post("/v1/jobs", doc)
    assert first.status_code == second.status_code == 202 and replayed(second)
    assert first.json()["id"] == second.json()["id"]
    assert replayed(post(models, "/v1/jobs", doc, "token"))  # both, and the same
    problem(post(models, "/v1/jobs", doc, "other"), 400, "invalid-request")
    problem(models.post("/v1/jobs", body(client_token="")), 400, "invalid-request")
    problem(models.post("/v1/jobs", body(client_token=7)), 400, "invalid-request")


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, '"a"b"', "caf\xe9", '"a\\x"'])
def test_what_is_no_key(models, key):
    before = jobs(models)
    answer = models.session.request(
        "POST", models.url + "/v1/jobs", json=body(), headers={"Idempotency-Key": key.encode("latin-1")}
    )
    doc = problem(answer, 400, "invalid-request")
    assert "255" in doc["detail"]
    assert jobs(models) == before


def test_the_longest_key(models):
    assert post(models, "/v1/jobs", body(), "x" * 255).status_code == 202
    assert replayed(post(models, "/v1/jobs", body(), "x" * 255))


def test_a_refused_request_leaves_its_key_free(models):
    problem(post(models, "/v1/jobs", body(weight="much"), "free"), 422, "invalid-params")
    answer = post(models, "/v1/jobs", body(), "free")
    assert answer.status_code == 202 and not replayed(answer)


def test_models(models):
    doc = {"id": "i/made", "description": "once"}
    first, second = post(models, "/v1/models", doc, "model"), post(models, "/v1/models", doc, "model")
    assert first.status_code == second.status_code == 201 and replayed(second)
    assert first.json() == second.json() and second.headers["Location"] == "/v1/models/i/made"
    problem(models.post("/v1/models", doc), 409, "conflict")  # without the key it is another request


def test_registrations(models, roots):
    folder = ref.write(roots / "reg", {"w": ref.tensor("F32", [1, 2, 3])})
    doc = {"from": {"path": str(folder)}}
    first = post(models, "/v1/models/i/reg/versions", doc, "reg")
    second = post(models, "/v1/models/i/reg/versions", doc, "reg")
    assert first.status_code == second.status_code == 201 and replayed(second) and not replayed(first)
    assert first.json()["commit"] == second.json()["commit"]
    assert models.ok("/v1/models/i/reg")["versions"] == 1
    problem(post(models, "/v1/models/i/other/versions", doc, "reg"), 422, "idempotency-key-reused")


def test_a_registration_that_failed_fails_again(models, roots):
    folder = ref.write(roots / "bad", {"w": ref.tensor("F32", [1, 2, 3])})
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0no json!")
    doc = {"from": {"path": str(folder)}}
    first = post(models, "/v1/models/i/bad/versions", doc, "bad")
    second = post(models, "/v1/models/i/bad/versions", doc, "bad")
    assert problem(first, 422, "malformed-safetensors")["errors"] == problem(second, 422, "malformed-safetensors")["errors"]
    assert replayed(second)


def tasks(client):
    return len(client.all("/v1/jobs?type=task&limit=100"))


@pytest.mark.parametrize(
    "path, doc",
    [
        ("/v1/admin/tasks", {"kind": "check"}),
        ("/v1/admin/tasks", {"kind": "verify", "target": "i/a@v1"}),
        ("/v1/admin/tasks", {"kind": "backup"}),  # its file is named after the time, and the second time is not now
        ("/v1/models/i/a/versions/v1/verify", None),
    ],
)
def test_tasks(models, path, doc, seed):
    before, key = tasks(models), f"task {seed}".replace(" ", "-")
    first = post(models, path, doc, key)
    assert first.status_code == 202 and not replayed(first), first.text
    task = first.json()
    assert models.wait(task["id"])["status"] == "succeeded"
    second = post(models, path, doc, key)
    assert second.status_code == 202 and replayed(second)
    assert second.json() == task and second.headers["Location"] == first.headers["Location"] == "/v1/jobs/" + task["id"]
    assert tasks(models) == before + 1
    problem(post(models, "/v1/admin/tasks", {"kind": "gc"}, key), 422, "idempotency-key-reused")
    problem(post(models, "/v1/models/i/b/versions/v1/verify", None, key), 422, "idempotency-key-reused")
    problem(post(models, path, doc, "no key"), 400, "invalid-request")
    assert tasks(models) == before + 1
    assert not replayed(models.post(path, doc)) and tasks(models) == before + 2  # without a key it is another request


def test_a_refused_task_leaves_its_key_free(models):
    problem(post(models, "/v1/admin/tasks", {"kind": "verify", "target": "i/late@v1"}, "late"), 404, "not-found")
    assert post(models, "/v1/admin/tasks", {"kind": "check"}, "late").status_code == 202


def test_routes_without_the_promise_ignore_the_header(models):
    uid = post(models, "/v1/jobs", body(), "cancel-me").json()["id"]
    models.wait(uid)
    problem(post(models, f"/v1/jobs/{uid}/cancel", None, "cancel-me"), 409, "job-terminal")


def test_it_is_documented(models):
    doc = models.ok("/v1/openapi.json")["paths"]
    with_key = {
        (path, verb)
        for path, verbs in doc.items()
        for verb, op in verbs.items()
        if any(p["name"] == "Idempotency-Key" and p["in"] == "header" for p in op["parameters"])
    }
    assert with_key == {
        ("/v1/admin/tasks", "post"),
        ("/v1/datasets", "post"),
        ("/v1/datasets/{ns}/{name}/versions", "post"),
        ("/v1/gates/{gate}/check", "post"),
        ("/v1/jobs", "post"),
        ("/v1/jobs/{id}/retry", "post"),
        ("/v1/jobs/{id}/rerun", "post"),
        ("/v1/models", "post"),
        ("/v1/models/{ns}/{name}/refs/{ref}/rollback", "post"),
        ("/v1/models/{ns}/{name}/versions", "post"),
        ("/v1/models/{ns}/{name}/versions/{rev}/export", "post"),
        ("/v1/models/{ns}/{name}/versions/{rev}/verify", "post"),
        ("/v1/predictions", "post"),
    }


def test_over_a_restart(launch, roots):
    """kill -9 right after the 202: the job is there, and so is the answer."""
    d = launch(name="restart")
    for name in ("a", "b"):
        d.client.register(ref.write(roots / name, {"w": ref.tensor("F32", np.arange(8.0))}), f"i/{name}")
    first = post(d.client, "/v1/jobs", body(), "durable")
    d.kill()
    d.start()
    second = post(d.client, "/v1/jobs", body(), "durable")
    assert replayed(second) and second.json() == first.json()
    problem(post(d.client, "/v1/jobs", body(weight=9.0), "durable"), 422, "idempotency-key-reused")
    assert d.client.wait(first.json()["id"])["status"] == "succeeded"
    assert jobs(d.client) == 1


def test_after_its_time_a_key_is_free(launch, roots):
    d = launch("--limits.idempotency_hours=1", name="hours")
    for name in ("a", "b"):
        d.client.register(ref.write(roots / name, {"w": ref.tensor("F32", np.arange(8.0))}), f"i/{name}")
    first = post(d.client, "/v1/jobs", body(), "aged")
    d.client.wait(first.json()["id"])
    d.stop()
    with sqlite3.connect(d.data / "amendd.db") as db:
        assert db.execute("UPDATE idempotency SET created_at = created_at - 3601 * 1000").rowcount == 1
    db.close()
    d.start()
    second = post(d.client, "/v1/jobs", body(weight=5.0), "aged")  # another request, even
    assert second.status_code == 202 and not replayed(second)
    d.client.wait(second.json()["id"])
    d.stop()
    with sqlite3.connect(d.data / "amendd.db") as db:
        assert [r[0] for r in db.execute("SELECT key FROM idempotency")] == ["aged"]
    db.close()


def test_many_at_once_make_one_job(launch, roots):
    """Sixteen clients with one key: one job; every answer is the same 202 or says that the first is at work."""
    d = launch(name="race")
    for name in ("a", "b"):
        d.client.register(ref.write(roots / name, {"w": ref.tensor("F32", np.arange(8.0))}), f"i/{name}")
    rounds, clients, seen = 30, 16, {202: 0, 409: 0}
    for i in range(rounds):
        answers, gate = [], threading.Barrier(clients)

        def submit():
            own = harness.Client(d.url)
            gate.wait()
            answers.append(post(own, "/v1/jobs", body(), f"race-{i}"))
            own.session.close()

        threads = [threading.Thread(target=submit) for _ in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(answers) == clients
        good = [a for a in answers if a.status_code == 202]
        for a in answers:
            seen[a.status_code] += 1
            if a.status_code == 409:
                assert problem(a, 409, "idempotency-in-progress")["retryable"] is True
        assert len({a.text for a in good}) == 1 and sum(not replayed(a) for a in good) == 1
    print(f"{rounds} rounds of {clients}: {seen}")
    assert jobs(d.client) == rounds


class Cut:
    """Stands before the daemon and cuts the connection instead of passing the first `cuts` answers to POSTs on."""

    def __init__(self, url, cuts):
        import http.server
        import urllib.request

        outer = self
        self.left, self.posts = cuts, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def pass_on(self):
                data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Content-Length")}
                request = urllib.request.Request(url + self.path, data or None, headers, method=self.command)
                try:
                    answer = urllib.request.urlopen(request)
                except urllib.error.HTTPError as e:
                    answer = e
                content = answer.read()
                if self.command == "POST":
                    outer.posts.append((self.path, self.headers.get("Idempotency-Key")))
                    if outer.left > 0:
                        outer.left -= 1
                        self.close_connection = True
                        return
                self.send_response(answer.status)
                for k in ("Content-Type", "X-Request-Id", "Location"):
                    if answer.headers.get(k):
                        self.send_header(k, answer.headers[k])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = pass_on

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_the_client_tries_again_when_the_answer_was_lost(models):
    before = jobs(models)
    with Cut(models.url, 2) as cut:
        out = harness.amend(
            cut.url, "merge", "linear", "i/a,weight=1", "i/b,weight=2", "--into", "i/cut", "-o", "name"
        )
    assert jobs(models) == before + 1 and out.strip().startswith("job_")
    assert len(cut.posts) == 3 and len({key for _, key in cut.posts}) == 1 and cut.posts[0][1]


def test_the_client_takes_a_key(models, tmp_path):
    import json

    file = tmp_path / "job.json"
    file.write_text(json.dumps(body()))
    args = ("job", "submit", "-f", file, "--idempotency-key", "mine", "-o", "name")
    assert harness.amend(models, *args) == harness.amend(models, *args)
