"""Run llama.cpp's HTTP server in the foreground, from the xllamacpp wheel.

usage: llamacpp_server.py MODEL.gguf PORT KEY NAME CONTEXT
"""

import signal
import sys
import threading

import xllamacpp


def main() -> None:
    model, port, key, name, context = sys.argv[1:]
    slots = 2  # the context is shared out among them
    options = xllamacpp.CommonParams()
    options.model.path = model
    options.model_alias = {name}
    options.hostnames = ["127.0.0.1"]
    options.port = int(port)
    options.api_keys = [key]
    options.n_ctx = int(context) * slots
    options.n_parallel = slots
    options.cpuparams.n_threads = 1
    options.cpuparams_batch.n_threads = 1
    options.use_jinja = True
    options.warmup = False
    server = xllamacpp.Server(options)  # serves from threads of its own until the process ends
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print("listening on", server.listening_address, flush=True)
    stop.wait()


main()
