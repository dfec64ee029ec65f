#include "process/spawner.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "process/spawner_fixture.h"

namespace seam::process {
namespace {

TEST(Spawner, WorkerAnswersOverItsSocket) {
  TestSpawner host;
  const SpawnedWorker worker = host.spawn(TestSpawner::python(
      "import socket\ns=socket.socket(fileno=3)\ns.sendall(b'got '+s.recv(100))"));
  ASSERT_EQ(::write(worker.socket.get(), "ping", 4), 4);
  EXPECT_EQ(read_to_end(worker.socket.get()), "got ping");
  wait_for_end(worker);
  const WorkerExit exit = host.run(host.spawner.reap(worker.id));
  EXPECT_EQ(exit.status, 0);
  EXPECT_FALSE(exit.memory_exceeded);
}

TEST(Spawner, StdoutAndStderrAreTheOutput) {
  TestSpawner host;
  EXPECT_EQ(host.output_of(TestSpawner::python(
                "import sys\nprint('out',flush=True)\nprint('err',file=sys.stderr)")),
            "out\nerr\n");
}

TEST(Spawner, ExitStatusIsTheWorkersOwn) {
  TestSpawner host;
  EXPECT_EQ(WEXITSTATUS(host.exit_of(TestSpawner::python("raise SystemExit(37)")).status), 37);
  const WorkerExit crashed =
      host.exit_of(TestSpawner::python("import ctypes\nctypes.string_at(0)"));
  ASSERT_TRUE(WIFSIGNALED(crashed.status));
  EXPECT_EQ(WTERMSIG(crashed.status), SIGSEGV);
}

TEST(Spawner, ReapKillsARunningWorker) {
  TestSpawner host;
  const SpawnedWorker worker = host.spawn(TestSpawner::python("import time\ntime.sleep(1000)"));
  EXPECT_EQ(::kill(worker.pid, 0), 0);
  const WorkerExit exit = host.run(host.spawner.reap(worker.id));
  ASSERT_TRUE(WIFSIGNALED(exit.status));
  EXPECT_EQ(WTERMSIG(exit.status), SIGKILL);
  EXPECT_EQ(::kill(worker.pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

// A compiler calls a linker; a tenant's worker calls nothing.
TEST(Spawner, OnlyAWorkerThatMayStartsPrograms) {
  TestSpawner host;
  WorkerSpec spec = TestSpawner::python(
      "import os\ntry:\n  pid=os.fork()\n  if pid==0: os.execv('/usr/bin/id',['id','-u'])\n"
      "  os.waitpid(pid,0)\nexcept OSError as e: print('refused',e.errno)");
  EXPECT_EQ(host.output_of(spec), "refused 1\n");
  spec.starts_programs = true;
  const std::string user = host.output_of(spec);
  EXPECT_FALSE(user.empty());
  EXPECT_NE(user, "0\n") << "it has the worker's user";
}

TEST(Spawner, AWorkerThatStartsProgramsIsShutInAsOthersAre) {
  TestSpawner host;
  WorkerSpec spec = TestSpawner::python(
      "import os,socket,subprocess\n"
      "print(subprocess.run(['/usr/bin/unshare','-U','/usr/bin/"
      "true'],capture_output=True).returncode!=0)\n"
      "print(subprocess.run(['/usr/bin/ls','/home'],capture_output=True).returncode!=0)\n"
      "try: socket.socket()\nexcept OSError as e: print('refused',e.errno)\n"
      "try: os.mkdir('/usr/x')\nexcept OSError as e: print('refused')\n"
      "with open('/tmp/x','w') as f: f.write('#!/usr/bin/sh\\necho ran')\n"
      "os.chmod('/tmp/x',0o755)\n"
      "try: subprocess.run(['/tmp/x'])\nexcept OSError as e: print('refused',e.errno)");
  spec.starts_programs = true;
  EXPECT_EQ(host.output_of(spec), "True\nTrue\nrefused 13\nrefused\nrefused 13\n");
}

TEST(Spawner, MissingProgramIsAFailedPrecondition) {
  TestSpawner host;
  WorkerSpec spec;
  spec.name = "none";
  spec.argv = {"/usr/bin/no-such-program"};
  const Result<SpawnedWorker> worker = host.run(host.spawner.spawn(spec));
  ASSERT_FALSE(worker);
  EXPECT_EQ(worker.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(worker.error().message, "run /usr/bin/no-such-program: No such file or directory");
}

TEST(Spawner, MissingBindIsAFailedPrecondition) {
  TestSpawner host;
  WorkerSpec spec = TestSpawner::python("");
  spec.binds = {{"/no/such/folder", "/harness"}};
  const Result<SpawnedWorker> worker = host.run(host.spawner.spawn(spec));
  ASSERT_FALSE(worker);
  EXPECT_EQ(worker.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(worker.error().message, "bind /no/such/folder: No such file or directory");
}

TEST(Spawner, WorkerSeesItsBindsReadOnly) {
  TestSpawner host;
  const TestFolder folder;
  folder.write("greeting", "hello");
  WorkerSpec spec = TestSpawner::python(
      "print(open('/harness/greeting').read())\n"
      "try: open('/harness/new','w')\nexcept OSError as e: print(e.strerror)");
  spec.binds = {{folder.path(), "/harness"}};
  const std::string output = host.output_of(spec);
  EXPECT_TRUE(output == "hello\nRead-only file system\n" || output == "hello\nPermission denied\n")
      << output;
}

TEST(Spawner, NodeRunsWebAssemblyWithinItsMemoryLimit) {
  if (::access("/usr/bin/node", X_OK) != 0) GTEST_SKIP() << "no /usr/bin/node";
  TestSpawner host;
  WorkerSpec spec;
  spec.name = "node";
  spec.argv = {"/usr/bin/node", "-e",
               "const m = new WebAssembly.Memory({initial: 16});"
               "new Uint8Array(m.buffer)[70000] = 7;"
               "console.log(new Uint8Array(m.buffer)[70000])"};
  EXPECT_EQ(host.output_of(spec), "7\n");
}

TEST(Spawner, NothingOfTheServersEnvironmentIsPassedOn) {
  ::setenv("SEAM_TEST_SECRET", "hunter2", 1);
  TestSpawner host;
  WorkerSpec spec = TestSpawner::python("import os\nprint(sorted(os.environ))");
  spec.environment = {"ONLY=this"};
  const std::string output = host.output_of(spec);
  // Python itself may add LC_CTYPE.
  EXPECT_TRUE(output == "['ONLY']\n" || output == "['LC_CTYPE', 'ONLY']\n") << output;
}

}  // namespace
}  // namespace seam::process
