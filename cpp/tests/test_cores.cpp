// How many processors a container grants, read from folders made like the kernel's.
#include "check.h"
#include "device/cores.h"
#include <cmath>
#include <fstream>
#include <string>
#include <unistd.h>

using namespace ltu;
namespace fs = std::filesystem;

namespace {

struct Machine {
  fs::path root = fs::temp_directory_path() / ("ltu-cores-" + std::to_string(getpid()));
  Machine() { fs::remove_all(root); }
  ~Machine() { fs::remove_all(root); }

  void write(const std::string &path, const std::string &text) const {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  }
  double granted() const { return granted_processors(root); }
};

void without_cgroups_there_is_no_limit() {
  const Machine machine;
  CHECK(std::isinf(machine.granted()));
}

void v2_says_quota_and_period_in_one_line() {
  const Machine machine;
  machine.write("proc/self/cgroup", "0::/\n");
  machine.write("sys/fs/cgroup/cpu.max", "max 100000\n");
  CHECK(std::isinf(machine.granted()));
  machine.write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  CHECK(machine.granted() == 1.5);
}

void the_smallest_of_nested_groups_counts() {
  const Machine machine;
  machine.write("proc/self/cgroup", "0::/pods/one/worker\n");
  machine.write("sys/fs/cgroup/pods/cpu.max", "800000 100000\n");
  machine.write("sys/fs/cgroup/pods/one/cpu.max", "50000 25000\n");
  machine.write("sys/fs/cgroup/pods/one/worker/cpu.max", "max 100000\n");
  machine.write("sys/fs/cgroup/pods/two/cpu.max", "1000 100000\n");
  CHECK(machine.granted() == 2);
}

void v1_says_them_in_two_files() {
  const Machine machine;
  machine.write("proc/self/cgroup", "5:memory:/docker/c\n4:cpu,cpuacct:/docker/c\n0::/docker/c\n");
  machine.write("sys/fs/cgroup/memory/docker/c/cpu.cfs_quota_us", "1000\n");
  machine.write("sys/fs/cgroup/memory/docker/c/cpu.cfs_period_us", "100000\n");
  machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  CHECK(std::isinf(machine.granted()));
  machine.write("sys/fs/cgroup/cpu,cpuacct/docker/c/cpu.cfs_quota_us", "250000\n");
  machine.write("sys/fs/cgroup/cpu,cpuacct/docker/c/cpu.cfs_period_us", "100000\n");
  CHECK(machine.granted() == 2.5);
}

void a_container_that_sees_only_its_own_group_reads_that() {
  const Machine machine;
  machine.write("proc/self/cgroup", "4:cpu:/docker/unseen\n0::/../outside\n");
  machine.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
  machine.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  machine.write("sys/fs/outside/cpu.max", "1000 100000\n");
  CHECK(machine.granted() == 3);
}

void unreadable_lines_are_no_limit() {
  const Machine machine;
  machine.write("proc/self/cgroup", "nonsense\n::\n0::/a\n");
  machine.write("sys/fs/cgroup/a/cpu.max", "\n");
  machine.write("sys/fs/cgroup/cpu.max", "100000 0\n");
  CHECK(std::isinf(machine.granted()));
}

} // namespace

int main() {
  without_cgroups_there_is_no_limit();
  v2_says_quota_and_period_in_one_line();
  the_smallest_of_nested_groups_counts();
  v1_says_them_in_two_files();
  a_container_that_sees_only_its_own_group_reads_that();
  unreadable_lines_are_no_limit();
  CHECK(usable_cores() >= 1);
}
