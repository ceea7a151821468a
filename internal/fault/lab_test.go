//go:build fault

package fault

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/internal/shipped"
)

// labVariable tells the test binary that it runs in namespaces of its own, and where the programs under test are.
const labVariable = "GENMESH_FAULT_PROGRAMS"

// TestMain builds the programs under test, moves into namespaces of its own and runs the tests there.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(labVariable) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "the lab can't be set up:", err)
			os.Exit(1)
		}
		goleak.VerifyTestMain(m, goleak.Cleanup(finish))
		return
	}
	code, err := enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, "the faults can't be tried here:", err)
		fmt.Fprintln(os.Stderr, "FAIL: they need Linux, root, and strace, iproute2 and e2fsprogs")
		code = 1
	}
	os.Exit(code)
}

// finish ends a run; figures count only if all went well.
func finish(code int) {
	if code == 0 && *figuresFile != "" {
		if err := renewFigures(*figuresFile); err != nil {
			fmt.Fprintln(os.Stderr, "the figures can't be renewed:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// enter runs this test binary again, in a network, a mount and a process namespace of its own. All of it ends with the process.
func enter() (code int, err error) {
	if err := equipped(); err != nil {
		return 1, err
	}
	programs, err := os.MkdirTemp("", "genmesh-fault-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(programs)
	if err := shipped.Build(programs); err != nil {
		return 1, err
	}
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	inside := exec.Command(self, os.Args[1:]...)
	inside.Env = append(os.Environ(), labVariable+"="+programs)
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = inside.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// equipped names all that is missing.
func equipped() error {
	var missing []error
	if os.Geteuid() != 0 {
		missing = append(missing, errors.New("this is not root"))
	}
	for _, program := range []string{"ip", "mount", "mkfs.ext4", "strace", "prlimit"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, err)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		missing = append(missing, fmt.Errorf("no loop devices: %w", err))
	}
	return errors.Join(missing...)
}

// furnish makes the namespaces fit to live in. The mounts are private: none is seen outside.
func furnish() error {
	for _, command := range [][]string{
		{"mount", "--make-rprivate", "/"},
		{"mount", "-t", "proc", "proc", "/proc"},
		{"mount", "-t", "tmpfs", "tmpfs", "/run"}, // where ip keeps the names of network namespaces
		{"ip", "link", "set", "lo", "up"},
	} {
		if err := do(command...); err != nil {
			return err
		}
	}
	return nil
}

// do runs a command of the system to its end.
func do(command ...string) error {
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", command, err, out)
	}
	return nil
}

// program is the path of a program under test.
func program(name string) string { return filepath.Join(os.Getenv(labVariable), name) }

// rounds is how often a fault strikes: few times in CI, many where somebody wants to know.
func rounds(few, many int) int {
	if testing.Short() {
		return few
	}
	return many
}
