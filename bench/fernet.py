"""Python's side of the Fernet lines: reads "bytes seconds", answers with round trips a second, until the input ends."""
import sys
import time

from cryptography.fernet import Fernet

key = Fernet(Fernet.generate_key())
for line in sys.stdin:
    size, seconds = line.split()
    message = b"a" * int(size)
    turns = 0
    start = now = time.perf_counter()
    while now - start < float(seconds):
        assert key.decrypt(key.encrypt(message)) == message
        turns += 1
        now = time.perf_counter()
    print(turns / (now - start), flush=True)
