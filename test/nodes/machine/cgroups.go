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

// groupRoot is where control groups are mounted.
const groupRoot = "/sys/fs/cgroup"

// hierarchy is one tree of control groups, of version 1.
type hierarchy struct {
	// controllers is how /proc/<pid>/cgroup calls it: "memory", "cpu,cpuacct", "name=systemd".
	controllers string
	// own is the group of this process in it.
	own string
}

// mountPoint is the directory that the hierarchy is mounted at, by convention.
func (h hierarchy) mountPoint() string {
	return filepath.Join(groupRoot, strings.TrimPrefix(h.controllers, "name="))
}

// mountOptions are those that mount the hierarchy.
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
		if fields[1] != "" { // version 2 has no name
			found = append(found, hierarchy{controllers: fields[1], own: fields[2]})
		}
	}
	return found, nil
}

// groups returns the control groups of the node: below those of this process, so that whatever limits this process limits the node. Version
// 2 forbids that, because this process is in the group, except for the root.
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
		groups = append(groups, filepath.Join(h.mountPoint(), h.own, name))
	}
	return groups, nil
}

// joinGroups makes the control groups of the node and moves this process into them, which the node's are then children of. A file has
// their names.
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

// inheritCPUs gives a new group the CPUs and memory nodes of its parent: in version 1 it has none, and accepts no process.
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

// removeGroups removes the control groups of the node, which is possible once no process is left in them.
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

// mountGroups mounts the control groups on the node, where the node's own are the roots.
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

// mountUnifiedGroups does it for version 2, where groups with limits have no processes: this one goes to a group of its own.
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

// enableControllers lets the groups below a group of version 2 have every limit that the group itself can have.
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

// groupsFile names the control groups of the node that runs, or that lost power.
func (m *machine) groupsFile() string { return filepath.Join(m.dir, "cgroups") }
