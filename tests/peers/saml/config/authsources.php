<?php
$person = function (string $name, array $groups): array {
    $said = ['uid' => [$name], 'mail' => ["$name@lab.example"], 'displayName' => [ucfirst($name) . ' Tester']];
    return $groups === [] ? $said : $said + ['memberOf' => $groups];
};
$config = [
    'users' => [
        'exampleauth:UserPass',
        'anna:Passw0rd-anna' => $person('anna', ['DF-Admin']),
        'ben:Passw0rd-ben' => $person('ben', ['DF-TestRead']),
        'carla:Passw0rd-carla' => $person('carla', ['DF-TestWrite', 'DF-ProdRead', 'Other']),
        'nogroup:Passw0rd-nogroup' => $person('nogroup', []),
    ],
];
