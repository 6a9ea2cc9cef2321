package impair

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Share is a part of the whole, 0 to 1. In a specification it is written as a
// percentage ("2.5%") or as a number from 0 to 1.
type Share float64

// Rate is in bits per second. In a specification it is written with its unit:
// "600kbps", "2Mbps", "64000bps".
type Rate int64

// Duration is written as Go writes it: "40ms", "1m30s".
type Duration time.Duration

// UnmarshalYAML reads a share; see Share.
func (s *Share) UnmarshalYAML(n *yaml.Node) error {
	text, percent := strings.CutSuffix(strings.TrimSpace(n.Value), "%")
	v, err := strconv.ParseFloat(text, 64)
	if percent {
		v /= 100
	}
	if n.Kind != yaml.ScalarNode || err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return fmt.Errorf("line %d: %q is not a share: write 0%% to 100%%, or 0 to 1", n.Line, n.Value)
	}
	*s = Share(v)
	return nil
}

// UnmarshalYAML reads a rate; see Rate.
func (r *Rate) UnmarshalYAML(n *yaml.Node) error {
	text := strings.TrimSpace(n.Value)
	for _, unit := range []struct {
		name string
		bits float64
	}{{"Mbps", 1e6}, {"kbps", 1e3}, {"bps", 1}} {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n.Kind != yaml.ScalarNode {
			break
		}
		v *= unit.bits
		if !(v >= minRate && v <= maxRate) {
			return fmt.Errorf("line %d: rate %q: must be 8kbps to 10000Mbps", n.Line, n.Value)
		}
		*r = Rate(math.Round(v))
		return nil
	}
	return fmt.Errorf("line %d: %q is not a rate: write it as 600kbps or 2Mbps", n.Line, n.Value)
}

// UnmarshalYAML reads a duration; see Duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(strings.TrimSpace(n.Value))
	if n.Kind != yaml.ScalarNode || err != nil {
		return fmt.Errorf("line %d: %q is not a duration: write it as 300ms or 20s", n.Line, n.Value)
	}
	if v < 0 {
		return fmt.Errorf("line %d: duration %q is negative", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// std gives d as the standard library's type.
func (d Duration) std() time.Duration { return time.Duration(d) }
