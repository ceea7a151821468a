// Package telemetry sets up what a process tells about itself: its log and its metrics.
package telemetry
