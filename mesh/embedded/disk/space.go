// Package disk tells the space on the disk of a folder.
package disk

// Space is the space on a disk, in bytes.
type Space struct {
	Size int64
	Free int64 // what this user may still fill
}
