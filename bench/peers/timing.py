"""What the scripts beside it share: arguments, the best of several rounds, one line a measurement."""

import argparse
import time

import torch


def arguments(doc):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("resolutions", type=int, nargs="*", default=[256, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--forward", action="store_true", help="nothing but the time of a picture")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    torch.manual_seed(1)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, one picture, float32")
    return given


def best(rounds, work):
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times[1:])


def device_time(device, work, samples=9, least=0.02):
    """Median seconds of a call on the device, by its own events; a sample is calls worth `least` seconds."""
    cuda = torch.device(device).type == "cuda"

    def sample(calls):
        if not cuda:
            start = time.perf_counter()
            for _ in range(calls):
                work()
            return time.perf_counter() - start
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return 1e-3 * begin.elapsed_time(end)

    for _ in range(3):  # libraries choose their algorithms, memory is taken
        work()
    once = max(sample(1), 1e-7)
    calls = int(min(max(least / once, 1), 1000))
    times = sorted(sample(calls) / calls for _ in range(samples if once < 1 else 3))
    return times[len(times) // 2]


def measure(given, resolution, rows, ways):
    """ways: by name, what makes a picture of codes [1, rows, 512]. The gradient of the codes up to 512 pixels."""
    ws = torch.randn(1, rows, 512)
    for name, picture in ways.items():

        def forward():
            with torch.no_grad():
                picture(ws)

        print(f"{resolution:5d}  {name:20s} forward                 {best(given.rounds, forward):8.1f} ms", flush=True)
        if resolution <= 512 and not given.forward:

            def backward():
                w = ws.clone().requires_grad_(True)
                picture(w).sum().backward()

            print(f"{resolution:5d}  {name:20s} forward, backward to W+ {best(given.rounds, backward):8.1f} ms", flush=True)
