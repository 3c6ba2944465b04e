// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// groupRoot is the directory where control groups are mounted.
const groupRoot = "/sys/fs/cgroup"

// hierarchy is one tree of control groups, of version 1.
type hierarchy struct {
	// controllers is its name in /proc/<pid>/cgroup, like "memory", "cpu,cpuacct" or "name=systemd".
	controllers string
	// current is the group of this process in the hierarchy.
	current string
}

// mountPoint returns the conventional directory of the hierarchy.
func (h hierarchy) mountPoint() string {
	return filepath.Join(groupRoot, strings.TrimPrefix(h.controllers, "name="))
}

// mountOptions returns the mount options of the hierarchy.
func (h hierarchy) mountOptions() string {
	if strings.HasPrefix(h.controllers, "name=") {
		return "none," + h.controllers
	}
	return h.controllers
}

// hierarchies returns the hierarchies of version 1 that this process is in.
func hierarchies() ([]hierarchy, error) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(data))
}

// parseHierarchies reads the content of /proc/<pid>/cgroup.
func parseHierarchies(data string) ([]hierarchy, error) {
	var found []hierarchy
	for line := range strings.Lines(data) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("/proc/self/cgroup has a line %q", line)
		}
		if fields[1] != "" { // Version 2 has no name.
			found = append(found, hierarchy{controllers: fields[1], current: fields[2]})
		}
	}
	return found, nil
}

// groups returns the control groups of the node. In version 1 they are below the groups of this process, so that the
// limits of this process apply to the node. Version 2 forbids groups below a group with processes, except for the root
// group. Therefore the node's group is below the root.
func (m *machine) groups() ([]string, error) {
	trees, err := hierarchies()
	if err != nil {
		return nil, err
	}
	name := "lws-" + m.name
	if len(trees) == 0 {
		return []string{filepath.Join(groupRoot, name)}, nil
	}
	var groups []string
	for _, h := range trees {
		groups = append(groups, filepath.Join(h.mountPoint(), h.current, name))
	}
	return groups, nil
}

// joinGroups makes the control groups of the node and moves this process into them, so that they become the roots of
// the node's groups. It writes their names to groupsFile.
func (m *machine) joinGroups() error {
	groups, err := m.groups()
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.groupsFile(), []byte(strings.Join(groups, "\n")), 0o600); err != nil {
		return err
	}
	if len(groups) == 1 && filepath.Dir(groups[0]) == groupRoot {
		if err := enableControllers(groupRoot); err != nil {
			return err
		}
	}
	for _, group := range groups {
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		if err := inheritCPUs(group); err != nil {
			return err
		}
		if err := join(group); err != nil {
			return err
		}
	}
	return nil
}

// join moves this process into a group.
func join(group string) error {
	return os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o600)
}

// inheritCPUs copies the CPUs and memory nodes of a new group's parent. In version 1 a new group has none, and accepts
// no process.
func inheritCPUs(group string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(group), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(group, name), value, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// removeGroups removes the control groups of the node. It waits until they have no processes.
func (m *machine) removeGroups() error {
	data, err := os.ReadFile(m.groupsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for group := range strings.SplitSeq(string(data), "\n") {
		if err := until(offTimeout, func() error { return removeTree(group) }); err != nil {
			return err
		}
	}
	return os.Remove(m.groupsFile())
}

// removeTree removes a control group and all groups below it.
func removeTree(group string) error {
	var directories []string
	err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			directories = append(directories, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, directory := range slices.Backward(directories) {
		if err := syscall.Rmdir(directory); err != nil {
			return &fs.PathError{Op: "rmdir", Path: directory, Err: err}
		}
	}
	return nil
}

// mountGroups mounts the control groups on the node. The node's own groups are the roots.
func mountGroups() error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	if len(trees) == 0 {
		return mountUnifiedGroups()
	}
	if err := mount("tmpfs", groupRoot, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, h := range trees {
		if err := mount("cgroup", h.mountPoint(), "cgroup", 0, h.mountOptions()); err != nil {
			return err
		}
	}
	return nil
}

// mountUnifiedGroups mounts the control groups of version 2. There, groups with limits can't have processes, so this
// process moves into its own group.
func mountUnifiedGroups() error {
	if err := mount("cgroup2", groupRoot, "cgroup2", 0, ""); err != nil {
		return err
	}
	leaf := filepath.Join(groupRoot, "init")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	if err := join(leaf); err != nil {
		return err
	}
	return enableControllers(groupRoot)
}

// enableControllers enables all controllers of a group of version 2 for the groups below it.
func enableControllers(group string) error {
	controllers, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for controller := range strings.FieldsSeq(string(controllers)) {
		if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+controller), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// groupsFile returns the file with the names of the node's control groups. It exists while the node runs, and after a
// loss of power.
func (m *machine) groupsFile() string { return filepath.Join(m.dir, "cgroups") }
