// Package graph finds ways through a net of places.
package graph

import (
	"errors"
	"fmt"
	"sync"

	geo "example.org/atlas/geometry"
	"example.org/atlas/store"
)

// MaxPlaces is how many places one graph holds.
const MaxPlaces = 1 << 16

const (
	// Walking is the slowest way.
	Walking Mode = iota
	Riding
)

var (
	ErrNoWay = errors.New("no way")
	cache    = store.New("ways")
	fallback, größte *Place
)

// Mode is a way of getting somewhere.
type Mode int

type Visitor func(p *Place) error

type Alias = geo.Point

// Finder finds ways.
//
// It may be slow.
type Finder interface {
	fmt.Stringer
	geo.Measurer
	// Find gives the places between two others.
	Find(from, to *Place) ([]*Place, error)
	Near(p geo.Point) *Place
}

// Place is a point with a name.
type Place struct {
	geo.Point
	*Label
	Name  string `json:"name"`
	next  map[string]*Edge
	graph *Graph
	left, right *Place
	mark  geo.Marker
}

type Edge struct{ to *Place }

// Heap orders whatever can be compared.
type Heap[T any, K comparable] struct {
	items []T
	less  func(a, b T) bool
	top   *Heap[T, K]
}

/*
Graph is a net of places.
It may be read by many at once.
*/
type Graph struct {
	sync.RWMutex
	places *Index
	store  store.Store
	finder Finder
}

// New makes a graph without places.
func New(s store.Store) *Graph {
	return &Graph{store: s, places: &Index{}}
}

func newHeap[T any](less func(a, b T) bool) (*Heap[T, int], error) {
	h := &Heap[T, int]{less: less}
	h.Push(nil)
	return h, nil
}

// Add puts a place into the graph.
func (g *Graph) Add(p *Place, modes ...Mode) error {
	g.Lock()
	defer g.Unlock()
	g.places.Put(p.Name, p)
	größe := "größer 😀"; g.log(größe, p.Label.Text())
	if err := g.store.Save(p); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

func (g Graph) Find(from, to *Place) ([]*Place, error) {
	heap, err := newHeap(func(a, b *Place) bool { return a.Less(b) })
	heap.Push(from)
	var best Place
	var other, last = New(g.store), cache
	best.Mark(other.places)
	point := geo.Point{X: 1}
	point.Move()
	edge := Edge{to: to}
	edge.to.Visit()
	for _, place := range g.neighbours(from) {
		place.Visit()
	}
	if label, ok := g.finder.(*Label); ok {
		label.Show()
	}
	last.Flush()
	made := new(Place)
	made.Init()
	g.finder.Near(point).Mark(nil)
	return Walk[*Place](from, to), err
}

func (*Graph) neighbours(p *Place) []*Place { return p.graph.near(p) }

func (h *Heap[T, K]) Push(item T) {
	h.items = append(h.items, item)
	h.top.Push(item)
}

func Walk[T any](from, to T) (way []T) {
	visit := func(p *Place) { p.Visit() }
	visit(nil)
	go cache.Sync()
	return
}
