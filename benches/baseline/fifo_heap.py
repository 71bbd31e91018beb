"""The honest bar: pooled first-come-first-served as an event loop in plain Python, written with care.

usage: fifo_heap.py [--shortcut] JOBS.csv POOL [REPEATS]
JOBS.csv: submit,duration,accelerators; sorted by submit; larger jobs than POOL are left out.
At one instant completions come first, then arrivals, then one pass over the queue. Start and end of every job are kept.
--shortcut: no queue and no events; it works for first-come-first-served alone, so it bounds what Python can do at all.
Prints jobs, CPU seconds of the loop (best of the repeats), jobs per CPU second, mean JCT and makespan.
"""
import heapq
import sys
import time
from collections import deque


def event_loop(jobs, pool):
    push, pop = heapq.heappush, heapq.heappop
    free, arrived, count = pool, 0, len(jobs)
    running, waiting = [], deque()
    starts, ends = [0] * count, [0] * count
    while arrived < count or running:
        if running and (arrived == count or running[0][0] <= jobs[arrived][0]):
            now = running[0][0]
        else:
            now = jobs[arrived][0]
        while running and running[0][0] == now:
            job = pop(running)[1]
            free += jobs[job][2]
            ends[job] = now
        while arrived < count and jobs[arrived][0] == now:
            waiting.append(arrived)
            arrived += 1
        while waiting and jobs[waiting[0]][2] <= free:
            job = waiting.popleft()
            free -= jobs[job][2]
            starts[job] = now
            push(running, (now + jobs[job][1], job))
    return starts, ends


def shortcut(jobs, pool):
    free, running, now = pool, [], 0
    push, pop = heapq.heappush, heapq.heappop
    starts, ends = [], []
    for submit, duration, accelerators in jobs:
        # The head of the queue starts when it has arrived, those before it have started, and enough is free.
        if submit > now:
            now = submit
        while running and running[0][0] <= now:
            free += pop(running)[1]
        while free < accelerators:
            now, released = pop(running)
            free += released
        free -= accelerators
        push(running, (now + duration, accelerators))
        starts.append(now)
        ends.append(now + duration)
    return starts, ends


def main():
    arguments = [a for a in sys.argv[1:] if a != "--shortcut"]
    simulate = shortcut if "--shortcut" in sys.argv else event_loop
    pool = int(arguments[1])
    with open(arguments[0]) as file:
        rows = [[float(x) for x in line.split(",")] for line in file if line[0].isdigit()]
    # Whole numbers as integers: they are faster, and exact.
    jobs = [tuple(int(x) if x.is_integer() else x for x in row) for row in rows if row[2] <= pool]
    best = float("inf")
    for _ in range(int(arguments[2]) if len(arguments) > 2 else 5):
        began = time.process_time()
        starts, ends = simulate(jobs, pool)
        best = min(best, time.process_time() - began)
    mean_jct = sum(end - job[0] for end, job in zip(ends, jobs)) / len(jobs)
    makespan = max(ends) - jobs[0][0]
    print(f"{simulate.__name__},{len(jobs)},{best:.6f},{len(jobs) / best:.0f},{mean_jct:.3f},{makespan}")


if __name__ == "__main__":
    main()
