package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
)

// ours are settings that the bench decides: with others its rows would be wrong, or it would not find what an engine wrote.
var ours = []*settings.Setting{
	settings.Brokers.Setting, settings.Topology.Setting, settings.Guarantee.Setting, settings.Workers.Setting, settings.StateDir.Setting,
	settings.TopicPrefix.Setting, settings.HTTP.Setting, settings.Announce.Setting, settings.LogLevel.Setting, settings.LogFormat.Setting,
	settings.Partitioner.Setting,
}

// checkSetting refuses a setting that Weir does not have, or that is not for an engine to change.
func checkSetting(name, value string) error {
	if s, ok := settings.Lookup(name); ok && slices.Contains(ours, s) {
		return fmt.Errorf("the bench decides %s, by its flags or the engine's other options", s.Name)
	}
	_, err := settings.Resolve(settings.Sources{Program: asked(map[string]string{"set." + name: value})})
	return err
}

// asked are the settings among an engine's options.
func asked(options map[string]string) (list []settings.Given) {
	for key, value := range options {
		if name, ok := strings.CutPrefix(key, "set."); ok {
			list = append(list, settings.Given{Name: name, Text: value, Place: key})
		}
	}
	return list
}

// weirSettings are the client's and the instance's for a job: what the job needs stands for Weir's defaults, and the engine's options
// come before it.
func weirSettings(j job.Job, guarantee string) (kafka.Config, processors.Options, error) {
	defaults := map[string]string{
		settings.Brokers.Name:        strings.Join(j.Brokers, ","),
		settings.Guarantee.Name:      guarantee,
		settings.CommitInterval.Name: j.Interval.String(),
		settings.Workers.Name:        strconv.Itoa(j.Workers),
		settings.StateDir.Name:       j.StateDir,
	}
	if j.Copies > 0 {
		defaults[settings.StandbyReplicas.Name] = strconv.Itoa(j.Copies)
	}
	if j.Static { // or an instance with a new folder waits for the session of the one before it
		defaults[settings.GroupInstanceID.Name] = "bench"
	}
	v, err := settings.Resolve(settings.Sources{Defaults: defaults, Program: asked(j.Set)})
	if err != nil {
		return kafka.Config{}, processors.Options{}, err
	}
	config, err := cli.ClientConfig(v)
	if err != nil {
		return config, processors.Options{}, err
	}
	opts, err := cli.InstanceOptions(v)
	return config, opts, err
}
