"""The honest bar: pooled first-come-first-served in plain Python with a heap, written with care.

usage: fifo_heap.py JOBS.csv POOL [REPEATS]      JOBS.csv: submit,duration,accelerators; sorted by submit
Prints jobs, CPU seconds of the loop (best of the repeats), jobs per CPU second, mean JCT and makespan.
"""
import heapq
import sys
import time


def simulate(jobs, pool):
    free, running, head, now = pool, [], 0, 0
    push, pop = heapq.heappush, heapq.heappop
    total_jct = 0
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
        end = now + duration
        push(running, (end, accelerators))
        total_jct += end - submit
    return total_jct, max(end for end, _ in running) if running else now


def main():
    pool = int(sys.argv[2])
    with open(sys.argv[1]) as file:
        rows = [tuple(int(float(x)) for x in line.split(",")) for line in file if line[0].isdigit()]
    jobs = [row for row in rows if row[2] <= pool]
    best = float("inf")
    for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 5):
        start = time.process_time()
        total_jct, makespan = simulate(jobs, pool)
        best = min(best, time.process_time() - start)
    print(f"jobs={len(jobs)} cpu_s={best:.6f} jobs_per_cpu_s={len(jobs) / best:.0f} mean_jct_s={total_jct / len(jobs):.3f} makespan_s={makespan - jobs[0][0]}")


if __name__ == "__main__":
    main()
