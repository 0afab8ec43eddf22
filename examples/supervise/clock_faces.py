"""The faces of a clock, one for each hour."""

FACES = [chr(0x1F550 + (hour + 11) % 12) for hour in range(12)]
