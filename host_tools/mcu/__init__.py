"""What bench_mcu.py counts on emulated cores, and how it shows it."""
