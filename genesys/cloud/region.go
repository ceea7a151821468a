package cloud

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Region is a place where Genesys Cloud runs. Its API is at api.<domain>, its login at
// login.<domain>.
type Region struct {
	// Name is the AWS region, such as "eu-central-1".
	Name string
	// Domain is the one that its users know, such as "mypurecloud.de".
	Domain string
}

// Regions lists all regions
// (https://github.com/MyPureCloud/terraform-provider-genesyscloud, provider settings).
func Regions() []Region {
	return []Region{
		{"us-east-1", "mypurecloud.com"},
		{"us-east-2", "use2.us-gov-pure.cloud"},
		{"us-west-2", "usw2.pure.cloud"},
		{"ca-central-1", "cac1.pure.cloud"},
		{"sa-east-1", "sae1.pure.cloud"},
		{"mx-central-1", "mxc1.pure.cloud"},
		{"eu-west-1", "mypurecloud.ie"},
		{"eu-west-2", "euw2.pure.cloud"},
		{"eu-central-1", "mypurecloud.de"},
		{"eu-central-2", "euc2.pure.cloud"},
		{"eusc-de-east-1", "edee1.eusc-pure.cloud"},
		{"me-central-1", "mec1.pure.cloud"},
		{"ap-south-1", "aps1.pure.cloud"},
		{"ap-southeast-1", "apse1.pure.cloud"},
		{"ap-southeast-2", "mypurecloud.com.au"},
		{"ap-northeast-1", "mypurecloud.jp"},
		{"ap-northeast-2", "apne2.pure.cloud"},
		{"ap-northeast-3", "apne3.pure.cloud"},
	}
}

// FindRegion finds a region by its name or its domain.
func FindRegion(nameOrDomain string) (Region, error) {
	regions := Regions()
	i := slices.IndexFunc(regions, func(r Region) bool { return r.Name == nameOrDomain || r.Domain == nameOrDomain })
	if i < 0 {
		var names []string
		for _, r := range regions {
			names = append(names, r.Name)
		}
		return Region{}, fmt.Errorf("there is no region %q of Genesys Cloud: write one of %s, or its domain", nameOrDomain, strings.Join(names, ", "))
	}
	return regions[i], nil
}

// hosts are the base URLs of the API and of the login.
func (o Options) hosts() (api, login string, err error) {
	switch {
	case o.Region != "" && o.URL != "":
		return "", "", errors.New("there are both a region and a URL; give one")
	case o.Region != "":
		r, err := FindRegion(o.Region)
		if err != nil {
			return "", "", err
		}
		api, login = "https://api."+r.Domain, "https://login."+r.Domain
	default:
		api, login = o.URL, o.URL
	}
	if o.LoginURL != "" {
		login = o.LoginURL
	}
	for _, host := range []*string{&api, &login} {
		if *host, err = baseURL(*host); err != nil {
			return "", "", err
		}
	}
	return api, login, nil
}

// baseURL wants https, but on this machine: the token goes there.
func baseURL(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("the URL of the Genesys Cloud API is no https URL such as https://api.mypurecloud.de")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", fmt.Errorf("the URL %s is not https: anybody on the way could read the token", text)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
