package topology_test

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

type Reading struct {
	Celsius float64 `json:"celsius"`
}

var (
	readings = topology.Stream("sensor.read.v1", codecs.JSON[Reading](), topology.Partitions(12), topology.Retention(7*24*time.Hour))
	alarms   = topology.Stream("sensor.alarmed.v1", codecs.String(), topology.Retention(topology.Forever), topology.Owner("team heat"))
	highest  = topology.Store("highest", codecs.JSON[float64]())
)

// alarm tells when a sensor is hotter than it ever was.
func alarm(ctx topology.Context, sensor string, r Reading) error {
	before, known, err := highest.Lookup(ctx, sensor)
	if err != nil {
		return err
	}
	if r.Celsius < -273.15 {
		return topology.Reject(fmt.Errorf("%g °C is below absolute zero", r.Celsius))
	}
	if known && r.Celsius <= before {
		return ctx.Drop(topology.Filtered)
	}
	highest.Set(ctx, sensor, r.Celsius)
	alarms.Emit(ctx, sensor, fmt.Sprintf("%g °C", r.Celsius))
	return nil
}

func ExampleDefine() {
	heat := topology.Define("heat",
		topology.Node("alarm",
			topology.On(readings, alarm),
			topology.Uses(highest),
			topology.Emits(alarms)))

	plan, err := heat.Plan(plan.Names{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan.Describe())
	// Output:
	// topology heat
	//
	// sub-graph 0: one task for each partition of sensor.read.v1
	//   node alarm
	//     on stream sensor.read.v1 (topology_test.Reading)
	//     uses store highest
	//     emits to stream sensor.alarmed.v1 (string)
	//     tries 3 times, 100ms to 10s apart, then dead letter to sensor.read.v1.dlq
	//   store highest (float64), used by alarm
	//
	// streams
	//   NAME               VALUES  KEYS    SUBJECT                  OWNER
	//   sensor.read.v1     json    string  sensor.read.v1-value     none
	//   sensor.alarmed.v1  string  string  sensor.alarmed.v1-value  team heat
	//
	// topics
	//   NAME                         ROLE         PARTITIONS         CLEANUP  RETENTION
	//   sensor.read.v1               input        12                 delete   7 days
	//   sensor.alarmed.v1            output       any number         delete   for ever
	//   sensor.read.v1.dlq           dead letter  any number         delete   30 days
	//   heat-sensor.read.v1-redrive  redrive      as sensor.read.v1  delete   30 days
	//   heat-highest-changelog       changelog    as sensor.read.v1  compact  for ever
}

func ExampleTopology_Check() {
	edge := topology.Edge[Reading]("hot ones")
	graph := topology.Define("heat",
		topology.Node("alarm",
			topology.On(readings, alarm),
			topology.Emits(edge, alarms),
			topology.DeadLetter("sensor.read.v1")))

	fmt.Println(graph.Check())
	// Output:
	// topology "heat" cannot run:
	//   - node alarm: the name of edge "hot ones" has the character ' '; use up to 249 letters, digits, '.', '_' and '-'
	//   - node alarm: nobody reads edge hot ones; read it with On, or take it out of Emits
	//   - node alarm: its dead letter topic sensor.read.v1 is also in use as input; name another topic with DeadLetter
}
