import sys; sys.path.insert(0,'/work/wt/g/tests/service')
import numpy as np, pytest, reference as ref
from test_gate_jobs import *
def test_peak(client, roots):
    for i,n in enumerate(("base","one")):
        client.register(ref.write(roots/f"pk{n}", {f"w{k}": ref.tensor("F32", np.random.default_rng(i+k).normal(size=1<<20)) for k in range(8)}), f"a/{n}")
    for n in (600, 60000):
        rows=[{"id":f"s{i:06d}","y":0,"p":int(i%20==0)} for i in range(n)]
        b={"type":"merge","method":"task_arithmetic","inputs":{"base":"a/base@v1","models":[{"version":"a/one@v1"}]},"params":{"weight":1,"lambda":.5},"publish":{"model":f"pk/m{n}"}}
        j=client.wait(client.submit(b)); print("bare", j["plan"]["peak_memory_bytes"]>>10, j["result"]["measured"]["peak_memory_bytes"]>>10)
        g={"policy":"default","old_predictions":upload(client,rows,"a/base@v1",f"d{n}"),"new_predictions":upload(client,rows,f"pk/m{n}@main",f"d{n}")}
        j=client.wait(client.submit({**b,"gate":g})); assert j["status"]=="succeeded",j
        print("gated",n, j["plan"]["peak_memory_bytes"]>>10, j["result"]["measured"]["peak_memory_bytes"]>>10, j["result"]["decision"])
        e=client.wait(client.submit({"type":"evaluate","method":"compare","inputs":{k:g[k] for k in ("old_predictions","new_predictions")}}))
        print("eval",n, e["plan"]["peak_memory_bytes"]>>10, e["result"]["measured"]["peak_memory_bytes"]>>10)
