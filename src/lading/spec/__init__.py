"""What a user writes: references, units, workloads and studies, strict on the way in."""
