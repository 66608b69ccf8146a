#include "device/cores.h"
#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sched.h>
#include <set>
#include <sstream>
#include <string>
#include <thread>

namespace ltu {

namespace fs = std::filesystem;

namespace {

constexpr double no_limit = std::numeric_limits<double>::infinity();

int physical_cores(const fs::path &root) { // that this process may run on
#ifdef __linux__
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    std::set<std::string> cores; // threads of one core name the same siblings
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &allowed)) {
        std::ifstream file(root / ("sys/devices/system/cpu/cpu" + std::to_string(cpu)) /
                           "topology/thread_siblings_list");
        std::string siblings;
        cores.insert(std::getline(file, siblings) ? siblings : std::to_string(cpu));
      }
    if (!cores.empty())
      return static_cast<int>(cores.size());
  }
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

double ratio(double quota, double period) {
  return quota > 0 && period > 0 ? quota / period : no_limit; // v1 writes -1 for none
}

double granted_by(const fs::path &group) {
  double quota = 0, period = 0;
  if (std::ifstream(group / "cpu.max") >> quota >> period) // "max 100000" is no number: no limit
    return ratio(quota, period);
  if (std::ifstream(group / "cpu.cfs_quota_us") >> quota &&
      std::ifstream(group / "cpu.cfs_period_us") >> period)
    return ratio(quota, period);
  return no_limit;
}

// A container often sees its own group as the topmost one and is told the path that it has outside: what is
// not there grants everything.
double granted_along(const fs::path &hierarchy, const fs::path &path) {
  double least = granted_by(hierarchy);
  fs::path group = hierarchy;
  for (const fs::path &part : path.relative_path()) {
    if (part == "..")
      break;
    group /= part;
    least = std::min(least, granted_by(group));
  }
  return least;
}

} // namespace

double granted_processors(const fs::path &root) {
  const fs::path groups = root / "sys/fs/cgroup";
  double least = no_limit;
  std::ifstream file(root / "proc/self/cgroup"); // lines of number:controllers:path
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string number, controllers, path;
    std::getline(fields, number, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    if (controllers.empty()) // v2, by itself or beside v1
      for (const fs::path &hierarchy : {groups, groups / "unified"})
        least = std::min(least, granted_along(hierarchy, path));
    else if (("," + controllers + ",").find(",cpu,") != std::string::npos)
      for (const std::string &name : {controllers, std::string("cpu")})
        least = std::min(least, granted_along(groups / name, path));
  }
  return least;
}

int usable_cores(const fs::path &root) {
  const double cores = std::min<double>(physical_cores(root), std::ceil(granted_processors(root)));
  return std::max(1, static_cast<int>(cores));
}

} // namespace ltu
