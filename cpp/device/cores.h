#pragma once
#include <filesystem>

namespace ltu {

// Of physical cores that this process may run on, as many as its cgroups grant it time for; at least 1. root:
// the folder that has proc/ and sys/.
int usable_cores(const std::filesystem::path &root = "/");

// Processors' worth of time that the cgroups of this process grant it (cgroup v2 cpu.max, v1
// cpu.cfs_quota_us): the smallest along the path from its own group to the topmost that can be seen;
// infinity: no limit.
double granted_processors(const std::filesystem::path &root = "/");

} // namespace ltu
