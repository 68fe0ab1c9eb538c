"""To whom a process belongs: container, pod, virtual machine, unit, user or job, and the group that the rules make of it."""
